package lime

// #include "bridge.h"
import "C"

// A Kind says what kind of failure an [Error] is. The numbers are those of the C header. A later version of the
// library may give numbers that have no name here: treat them like [KindAPI], as errors.Is does.
type Kind int32

// The kinds of failures. For each there is a sentinel, which [errors.Is] compares with.
const (
	// KindInvalidArgument: an argument is missing, not UTF-8, out of range or malformed; nothing was sent.
	KindInvalidArgument Kind = C.LIME_ERROR_INVALID_ARGUMENT
	// KindClosed: the client was closed before or during the call.
	KindClosed Kind = C.LIME_ERROR_CLOSED
	// KindCancelled: the context was cancelled; what had already been sent may still take effect.
	KindCancelled Kind = C.LIME_ERROR_CANCELLED
	// KindTimeout: the caller's own deadline passed, the context's or a timeout.
	KindTimeout Kind = C.LIME_ERROR_TIMEOUT
	// KindWouldDeadlock: a blocking call on a thread of the library; calls of this package never do that.
	KindWouldDeadlock Kind = C.LIME_ERROR_WOULD_DEADLOCK
	// KindInternal: a fault of the library; the process and the client live on.
	KindInternal Kind = C.LIME_ERROR_INTERNAL
	// KindTransport: no usable HTTP answer: connection refused or reset, TLS failure, unknown host.
	KindTransport Kind = C.LIME_ERROR_TRANSPORT
	// KindTransportTimeout: no HTTP answer within the client's timeout, in the last of all attempts.
	KindTransportTimeout Kind = C.LIME_ERROR_TRANSPORT_TIMEOUT
	// KindBadResponse: an HTTP answer that is not what the protocol says.
	KindBadResponse Kind = C.LIME_ERROR_BAD_RESPONSE
	// KindOutcomeUnknown: a request that changes something was sent, and whether it took effect is not known.
	KindOutcomeUnknown Kind = C.LIME_ERROR_OUTCOME_UNKNOWN
	// KindRateLimit: HTTP 429 or code RATE_LIMIT_EXCEEDED.
	KindRateLimit Kind = C.LIME_ERROR_RATE_LIMIT
	// KindAuthentication: a missing or refused token.
	KindAuthentication Kind = C.LIME_ERROR_AUTHENTICATION
	// KindAPI: any other error that the platform reports.
	KindAPI Kind = C.LIME_ERROR_API
	// KindNotFound: the broker does not know this approval.
	KindNotFound Kind = C.LIME_ERROR_NOT_FOUND
	// KindAgentInactive: the agent was switched off by its owner. It is [ErrAuthentication], too.
	KindAgentInactive Kind = C.LIME_ERROR_AGENT_INACTIVE
	// KindAgentUserSuspended: the account of the agent's owner is suspended. It is [ErrAuthentication], too.
	KindAgentUserSuspended Kind = C.LIME_ERROR_AGENT_USER_SUSPENDED
	// KindAuthUnavailable: the platform cannot look at agents' tokens at the moment; nothing is wrong with this one. It is
	// [ErrAPI], too.
	KindAuthUnavailable Kind = C.LIME_ERROR_AUTH_UNAVAILABLE
	// KindSiteAuthUnavailable: the platform cannot look at sites' tokens at the moment; nothing is wrong with this one. It
	// is [ErrAPI], too.
	KindSiteAuthUnavailable Kind = C.LIME_ERROR_SITE_AUTH_UNAVAILABLE
	// KindInvalidPassport: a passport that must not be trusted.
	KindInvalidPassport Kind = C.LIME_ERROR_INVALID_PASSPORT
	// KindPassportExpired: a passport that was good once and has expired.
	KindPassportExpired Kind = C.LIME_ERROR_PASSPORT_EXPIRED
	// KindInvalidToken: an access token that an MCP server must not trust; the error's Code says why.
	KindInvalidToken Kind = C.LIME_ERROR_INVALID_TOKEN
	// KindPowTimeout: the proof of work was not solved within its budget.
	KindPowTimeout Kind = C.LIME_ERROR_POW_TIMEOUT
	// KindPowDifficulty: a proof of work that nobody can solve was asked for.
	KindPowDifficulty Kind = C.LIME_ERROR_POW_DIFFICULTY
	// KindApprovalDenied: a human denied the operation, or nobody decided in time; it must not run.
	KindApprovalDenied Kind = C.LIME_ERROR_APPROVAL_DENIED
	// KindWebhook: a webhook that must not be trusted; the error's Code says why.
	KindWebhook Kind = C.LIME_ERROR_WEBHOOK
	// KindOAuthCapability: the platform gives this agent no tokens for MCP servers, since it lacks the grant.
	KindOAuthCapability Kind = C.LIME_ERROR_OAUTH_CAPABILITY
	// KindMCPAuthentication: an MCP server refuses the token, also the new one that was fetched then.
	KindMCPAuthentication Kind = C.LIME_ERROR_MCP_AUTHENTICATION
	// KindMCP: an MCP server reports an error; Code is the number of its JSON-RPC error, or HTTP_ and the status.
	KindMCP Kind = C.LIME_ERROR_MCP
)

// Sentinels, one for each [Kind], to be compared with by [errors.Is]. They are kinds and never returned: what is
// returned is an [*Error].
var (
	ErrInvalidArgument     error = sentinel(KindInvalidArgument)
	ErrClosed              error = sentinel(KindClosed)
	ErrCancelled           error = sentinel(KindCancelled)
	ErrTimeout             error = sentinel(KindTimeout)
	ErrWouldDeadlock       error = sentinel(KindWouldDeadlock)
	ErrInternal            error = sentinel(KindInternal)
	ErrTransport           error = sentinel(KindTransport)
	ErrTransportTimeout    error = sentinel(KindTransportTimeout)
	ErrBadResponse         error = sentinel(KindBadResponse)
	ErrOutcomeUnknown      error = sentinel(KindOutcomeUnknown)
	ErrRateLimit           error = sentinel(KindRateLimit)
	ErrAuthentication      error = sentinel(KindAuthentication)
	ErrAPI                 error = sentinel(KindAPI)
	ErrNotFound            error = sentinel(KindNotFound)
	ErrAgentInactive       error = sentinel(KindAgentInactive)
	ErrAgentUserSuspended  error = sentinel(KindAgentUserSuspended)
	ErrAuthUnavailable     error = sentinel(KindAuthUnavailable)
	ErrSiteAuthUnavailable error = sentinel(KindSiteAuthUnavailable)
	ErrInvalidPassport     error = sentinel(KindInvalidPassport)
	ErrPassportExpired     error = sentinel(KindPassportExpired)
	ErrInvalidToken        error = sentinel(KindInvalidToken)
	ErrPowTimeout          error = sentinel(KindPowTimeout)
	ErrPowDifficulty       error = sentinel(KindPowDifficulty)
	ErrApprovalDenied      error = sentinel(KindApprovalDenied)
	ErrWebhook             error = sentinel(KindWebhook)
	ErrOAuthCapability     error = sentinel(KindOAuthCapability)
	ErrMCPAuthentication   error = sentinel(KindMCPAuthentication)
	ErrMCP                 error = sentinel(KindMCP)
)

// kinds is every kind that this package has a name for.
var kinds = map[Kind]error{
	KindInvalidArgument:     ErrInvalidArgument,
	KindClosed:              ErrClosed,
	KindCancelled:           ErrCancelled,
	KindTimeout:             ErrTimeout,
	KindWouldDeadlock:       ErrWouldDeadlock,
	KindInternal:            ErrInternal,
	KindTransport:           ErrTransport,
	KindTransportTimeout:    ErrTransportTimeout,
	KindBadResponse:         ErrBadResponse,
	KindOutcomeUnknown:      ErrOutcomeUnknown,
	KindRateLimit:           ErrRateLimit,
	KindAuthentication:      ErrAuthentication,
	KindAPI:                 ErrAPI,
	KindNotFound:            ErrNotFound,
	KindAgentInactive:       ErrAgentInactive,
	KindAgentUserSuspended:  ErrAgentUserSuspended,
	KindAuthUnavailable:     ErrAuthUnavailable,
	KindSiteAuthUnavailable: ErrSiteAuthUnavailable,
	KindInvalidPassport:     ErrInvalidPassport,
	KindPassportExpired:     ErrPassportExpired,
	KindInvalidToken:        ErrInvalidToken,
	KindPowTimeout:          ErrPowTimeout,
	KindPowDifficulty:       ErrPowDifficulty,
	KindApprovalDenied:      ErrApprovalDenied,
	KindWebhook:             ErrWebhook,
	KindOAuthCapability:     ErrOAuthCapability,
	KindMCPAuthentication:   ErrMCPAuthentication,
	KindMCP:                 ErrMCP,
}

// String is the kind's name, such as "rate_limit"; "unknown" for a number that the library does not know.
func (k Kind) String() string {
	return C.GoString(C.lime_status_name(C.int32_t(k)))
}

// Description says in a sentence what the kind means.
func (k Kind) Description() string {
	return C.GoString(C.lime_status_description(C.int32_t(k)))
}

// Parent is the more general kind that this one is a case of, such as [KindAuthentication] for [KindAgentInactive];
// the kind itself where there is none.
func (k Kind) Parent() Kind {
	return Kind(C.lime_status_parent(C.int32_t(k)))
}

// sentinel is the type of the sentinels.
type sentinel Kind

func (s sentinel) Error() string { return "lime: " + Kind(s).String() }
