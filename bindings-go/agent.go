package lime

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"time"
	"unsafe"
)

// An Agent is the client of an agent. Make one for each agent token and process; any number of goroutines may use
// it at once.
type Agent struct {
	client *client
}

// AgentOptions say how to make an [Agent]. The zero value takes everything from the environment and the defaults.
type AgentOptions struct {
	// AgentToken is the agent's secret, "at_..."; else the environment variable LIME_AGENT_TOKEN counts.
	AgentToken string
	// BaseURL is the API root, with "/api/v1"; else the environment variable LIME_API_BASE counts, then
	// https://lime.pics/api/v1.
	BaseURL string
	// Timeout bounds one attempt of a request, from connecting to the last byte. 0 is the default, 30 s.
	Timeout time.Duration
	// MaxRetries is how many further attempts follow a failed one. 0 is the default, 3; a negative number is none.
	MaxRetries int
	// PowTimeout is the wall-clock budget of one proof of work. 0 is the default, 10 s.
	PowTimeout time.Duration
	// Platform is what differs between the platform's times, all at once. The zero value is [PlatformAuto], which works
	// with all of them; PowDigest and PostRetry change it.
	Platform Platform
	// PowDigest is the digest of the proof of work. The zero value leaves it to Platform.
	PowDigest PowDigest
	// PowThreads is how many threads one proof of work uses. 0 is the default, 1; 256 is the most.
	PowThreads int
	// PostRetry says which failed POSTs are sent again. 0 leaves it to Platform.
	PostRetry PostRetry
	// MCPTokenRefreshSkew is how long before its end a token for MCP servers counts as expired. 0 is the default, 30 s; a
	// negative one is none.
	MCPTokenRefreshSkew time.Duration
	// MCPReadTimeout bounds the time to an MCP server's answer, and between two pieces of it. 0 is the default, 300 s.
	MCPReadTimeout time.Duration
	// ConcurrentMCP lets several calls of one MCP server run at once; else they are made one after the other.
	ConcurrentMCP bool
	// MCPAddresses are IP addresses of MCP servers by their host names, in place of the name system; else the environment
	// variable LIME_MCP_ADDRESSES counts ("tools.example.com=127.0.0.1,..."). For tests, and for networks with names of
	// their own.
	MCPAddresses map[string]string
	// TLSPins are public keys that the platform's server may have, beside what is checked of every certificate: SHA-256 of
	// the certificate's RawSubjectPublicKeyInfo in base64, "sha256/" in front or not; else the environment variable
	// LIME_TLS_PINS counts, with commas between. Name the next key before it comes. Not with a Transport. MCP servers are
	// not the platform's.
	TLSPins []string
	// Logger gets the library's log records, on a goroutine; nil is none. No token is in them.
	Logger *slog.Logger
	// Transport carries every request in the library's place; nil is the library's own client. The library keeps the
	// time and follows no redirect. It may be shared.
	Transport http.RoundTripper
	// Clock is where time and chance come from, for tests; nil is the machine's.
	Clock *Clock
}

// Format shows the options without the token.
func (o AgentOptions) Format(state fmt.State, verb rune) { format(state, verb, o.LogValue()) }

// LogValue shows the options without the token.
func (o AgentOptions) LogValue() slog.Value {
	return shown("AgentToken", o.AgentToken, slog.String("BaseURL", o.BaseURL), slog.Duration("Timeout", o.Timeout),
		slog.Int("MaxRetries", o.MaxRetries))
}

// NewAgent makes a client for the agent that the token belongs to. It starts nothing and sends nothing. Close it
// when it is not needed any more.
//
// It fails with [ErrAuthentication] when there is no token, and with [ErrInvalidArgument].
func NewAgent(options AgentOptions) (*Agent, error) {
	if err := checkABI(); err != nil {
		return nil, err
	}
	o := C.lime_agent_options_new()
	defer C.lime_agent_options_free(o)
	var set settings
	set.text("AgentToken", options.AgentToken, func(v *C.char) C.int32_t { return C.lime_agent_options_set_agent_token(o, v) })
	set.text("BaseURL", options.BaseURL, func(v *C.char) C.int32_t { return C.lime_agent_options_set_base_url(o, v) })
	set.duration("Timeout", options.Timeout, false, func(v C.uint64_t) C.int32_t { return C.lime_agent_options_set_timeout_ms(o, v) })
	set.count("MaxRetries", options.MaxRetries, true, func(v C.size_t) C.int32_t {
		return C.lime_agent_options_set_max_retries(o, C.uint32_t(v))
	})
	set.duration("PowTimeout", options.PowTimeout, false, func(v C.uint64_t) C.int32_t {
		return C.lime_agent_options_set_pow_timeout_ms(o, v)
	})
	// What comes after it changes it.
	set.number("Platform", int32(options.Platform), func(v C.int32_t) C.int32_t { return C.lime_agent_options_set_platform(o, v) })
	set.number("PowDigest", int32(options.PowDigest), func(v C.int32_t) C.int32_t { return C.lime_agent_options_set_pow_digest(o, v) })
	set.count("PowThreads", options.PowThreads, false, func(v C.size_t) C.int32_t { return C.lime_agent_options_set_pow_threads(o, v) })
	set.number("PostRetry", int32(options.PostRetry), func(v C.int32_t) C.int32_t { return C.lime_agent_options_set_post_retry(o, v) })
	set.duration("MCPTokenRefreshSkew", options.MCPTokenRefreshSkew, true, func(v C.uint64_t) C.int32_t {
		return C.lime_agent_options_set_mcp_token_refresh_skew_ms(o, v)
	})
	set.duration("MCPReadTimeout", options.MCPReadTimeout, false, func(v C.uint64_t) C.int32_t {
		return C.lime_agent_options_set_mcp_read_timeout_ms(o, v)
	})
	set.raise(options.ConcurrentMCP, func(C.int32_t) C.int32_t { return C.lime_agent_options_set_serialize_mcp_per_url(o, 0) })
	for name, address := range options.MCPAddresses {
		hostname, err := text("MCPAddresses", name)
		if err != nil {
			return nil, err
		}
		set.text("MCPAddresses", address, func(v *C.char) C.int32_t { return C.lime_agent_options_add_mcp_address(o, hostname, v) })
	}
	set.each("TLSPins", options.TLSPins, func(v *C.char) C.int32_t { return C.lime_agent_options_add_tls_pin(o, v) })
	set.log(options.Logger, func(sink C.uintptr_t) C.int32_t { return C.lime_go_agent_options_set_log(o, sink) })
	set.clock(options.Clock, func(clock *C.lime_clock) C.int32_t { return C.lime_agent_options_set_clock(o, clock) })
	carrier := set.transport(options.Transport, options.Logger, func(transport *C.lime_transport) C.int32_t {
		return C.lime_agent_options_set_transport(o, transport)
	})
	if set.err != nil {
		return nil, set.err
	}
	var handle *C.lime_agent
	var failure *C.lime_error
	if status := C.lime_agent_new(o, &handle, &failure); status != C.LIME_OK {
		return nil, failed(status, failure)
	}
	agent := &Agent{client: &client{
		carrier: carrier,
		ownTime: options.Clock != nil,
		handle:  unsafe.Pointer(handle),
		close:   func(agent unsafe.Pointer) { C.lime_agent_close((*C.lime_agent)(agent)) },
		free:    func(agent unsafe.Pointer) { C.lime_agent_free((*C.lime_agent)(agent)) },
	}}
	runtime.AddCleanup(agent, func(c *client) { c.shut() }, agent.client)
	return agent, nil
}

// Close refuses further calls with [ErrClosed]. Calls that are under way go on: end them by their contexts. Closing
// twice does nothing. The error is always nil.
func (a *Agent) Close() error {
	a.client.shut()
	return nil
}

// A LoginResult is how a login was confirmed.
type LoginResult struct {
	// RequestID is the login request that was confirmed.
	RequestID string
	// SiteID is the site that created it.
	SiteID string
	// Status is "APPROVED" or "DELIVERED".
	Status string
	// ApprovedAgentID is the agent that approved it, where the platform tells.
	ApprovedAgentID string
	// ExpiresAt is when the login request expires.
	ExpiresAt time.Time
}

// Login confirms a site's login request: it fetches the challenge, solves it and sends the approval. When the context
// ends, the search for the proof of work ends at once.
//
// It fails with [ErrAPI] when the platform does not know the request (any more) or it is no request id; with
// [ErrPowTimeout] or [ErrPowDifficulty]; with [ErrOutcomeUnknown] when an approval was sent and its answer got lost
// (the site may have let the agent in); with [ErrAuthentication], [ErrRateLimit], or another error of the platform or
// the network.
func (a *Agent) Login(ctx context.Context, requestID string) (*LoginResult, error) {
	defer runtime.KeepAlive(a)
	id, err := text("requestID", requestID)
	if err != nil {
		return nil, err
	}
	return perform[*LoginResult](ctx, a.client, limit{}, func(agent unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
		return C.lime_go_agent_login((*C.lime_agent)(agent), id, call)
	})
}

// A LoginStage is what a login is busy with. A later version of the library may know more of them.
type LoginStage int32

const (
	// StageChallenge: the platform is asked for the challenge.
	StageChallenge LoginStage = C.LIME_LOGIN_STAGE_CHALLENGE
	// StagePow: the proof of work is searched for.
	StagePow LoginStage = C.LIME_LOGIN_STAGE_POW
	// StageApprove: the approval is sent.
	StageApprove LoginStage = C.LIME_LOGIN_STAGE_APPROVE
)

var stageNames = map[LoginStage]string{StageChallenge: "challenge", StagePow: "pow", StageApprove: "approve"}

// String is the stage's name, such as "pow".
func (s LoginStage) String() string {
	if name, ok := stageNames[s]; ok {
		return name
	}
	return fmt.Sprintf("stage_%d", int32(s))
}

// LoginProgress is how far a login has come at one moment.
type LoginProgress struct {
	// Stage is what it is busy with.
	Stage LoginStage
	// Hashes is how many nonces the search has taken up so far; it begins at 0 again when a second digest is tried.
	Hashes uint64
	// Difficulty is how many zero bits are asked for: about 2 to this power hashes find a nonce. It is -1 as long as the
	// challenge is not there.
	Difficulty int64
	// Elapsed is the time since the login began.
	Elapsed time.Duration
	// Left is what the search has left of its budget; the whole budget before it has begun.
	Left time.Duration
}

// LoginWithProgress is [Agent.Login], and shows how far it has come: show is called on the calling goroutine, at once
// and then five times a second until the login ends. A panic of show ends the login and goes on to the caller.
func (a *Agent) LoginWithProgress(ctx context.Context, requestID string, show func(LoginProgress)) (*LoginResult, error) {
	defer runtime.KeepAlive(a)
	if show == nil {
		return a.Login(ctx, requestID)
	}
	id, err := text("requestID", requestID)
	if err != nil {
		return nil, err
	}
	progress, err := a.progress()
	if err != nil {
		return nil, err
	}
	defer C.lime_login_progress_free(progress)
	shown := limit{show: func() { show(readProgress(progress)) }}
	return perform[*LoginResult](ctx, a.client, shown, func(agent unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
		return C.lime_go_agent_login_with_progress((*C.lime_agent)(agent), id, progress, call)
	})
}

func (a *Agent) progress() (*C.lime_login_progress, error) {
	handle, err := a.client.use()
	if err != nil {
		return nil, err
	}
	defer a.client.unuse()
	var progress *C.lime_login_progress
	var failure *C.lime_error
	if status := C.lime_agent_progress((*C.lime_agent)(handle), &progress, &failure); status != C.LIME_OK {
		return nil, failed(status, failure)
	}
	return progress, nil
}

func readProgress(progress *C.lime_login_progress) LoginProgress {
	return LoginProgress{
		Stage:      LoginStage(C.lime_login_progress_stage(progress)),
		Hashes:     uint64(C.lime_login_progress_hashes(progress)),
		Difficulty: int64(C.lime_login_progress_difficulty(progress)),
		Elapsed:    fromMillis(uint64(C.lime_login_progress_elapsed_ms(progress))),
		Left:       fromMillis(uint64(C.lime_login_progress_left_ms(progress))),
	}
}

//export limeGoApprovalResult
func limeGoApprovalResult(call C.uintptr_t, status C.int32_t, result *C.lime_approval_result, failure *C.lime_error) {
	complete(call, status, failure, func() *LoginResult {
		defer C.lime_approval_result_free(result)
		return &LoginResult{
			RequestID:       C.GoString(C.lime_approval_result_request_id(result)),
			SiteID:          C.GoString(C.lime_approval_result_site_id(result)),
			Status:          C.GoString(C.lime_approval_result_status_text(result)),
			ApprovedAgentID: C.GoString(C.lime_approval_result_approved_agent_id(result)),
			ExpiresAt: at(C.lime_approval_result_expires_at_unix_micros(result),
				C.lime_approval_result_expires_at_offset_seconds(result)),
		}
	})
}

// An AgentProfile is the agent as the platform knows it. What the platform does not tell is empty, or nil.
type AgentProfile struct {
	AgentID     string
	OwnerID     string // the LIME user who owns it
	DisplayName string
	AvatarURL   string
	Description string
	// OwnerKYCLevel is the owner's verification level.
	OwnerKYCLevel *int64
	// AgentReputation is the agent's reputation score.
	AgentReputation *int64
}

// Profile reads the agent's own profile.
//
// It fails with [ErrAuthentication] when the platform refuses the token, or with another error of the platform or the
// network.
func (a *Agent) Profile(ctx context.Context) (*AgentProfile, error) {
	defer runtime.KeepAlive(a)
	return perform[*AgentProfile](ctx, a.client, limit{}, func(agent unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
		return C.lime_go_agent_get_profile((*C.lime_agent)(agent), call)
	})
}

//export limeGoAgentProfile
func limeGoAgentProfile(call C.uintptr_t, status C.int32_t, profile *C.lime_agent_profile, failure *C.lime_error) {
	complete(call, status, failure, func() *AgentProfile {
		defer C.lime_agent_profile_free(profile)
		read := &AgentProfile{
			AgentID:     C.GoString(C.lime_agent_profile_agent_id(profile)),
			OwnerID:     C.GoString(C.lime_agent_profile_owner_id(profile)),
			DisplayName: C.GoString(C.lime_agent_profile_display_name(profile)),
			AvatarURL:   C.GoString(C.lime_agent_profile_avatar_url(profile)),
			Description: C.GoString(C.lime_agent_profile_description(profile)),
		}
		var number C.int64_t
		if C.lime_agent_profile_owner_kyc_level(profile, &number) == 1 {
			level := int64(number)
			read.OwnerKYCLevel = &level
		}
		if C.lime_agent_profile_agent_reputation(profile, &number) == 1 {
			score := int64(number)
			read.AgentReputation = &score
		}
		return read
	})
}
