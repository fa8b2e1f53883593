package lime

// #include "bridge.h"
import "C"

import (
	"encoding/json"
	"time"
)

// An ApprovalRequest is what a human is asked to approve.
type ApprovalRequest struct {
	// Action is what kind of operation it is, such as "payments.refund"; the broker's rules go by it. Required.
	Action string
	// Summary is one line for the human. Required.
	Summary string
	// Reason is why it is asked for.
	Reason string
	// DedupKey names the operation, such as "refund-882": the same key gives the same approval, however often it is
	// asked for. With one, a failed attempt to ask is repeated; without one it is repeated only if it certainly did not
	// leave, because a human would be asked twice.
	DedupKey string
	// CallbackURL is where the broker reports the decision, see [WebhookVerifier].
	CallbackURL string
	// Severity is how much is at stake, in words that the broker's people agreed on, such as "high".
	Severity string
	// Context is what else the human sees, as a JSON object. It is shown: no secrets. A [json.RawMessage] is sent as it
	// is; anything else is what [json.Marshal] makes of it; nil is nothing.
	Context any
}

// build makes the library's request, to be freed.
func (r ApprovalRequest) build() (*C.lime_approval_request, error) {
	action, err := text("Action", r.Action)
	if err != nil {
		return nil, err
	}
	summary, err := text("Summary", r.Summary)
	if err != nil {
		return nil, err
	}
	var request *C.lime_approval_request
	var failure *C.lime_error
	if status := C.lime_approval_request_new(action, summary, &request, &failure); status != C.LIME_OK {
		return nil, failed(status, failure)
	}
	var set settings
	set.text("Reason", r.Reason, func(v *C.char) C.int32_t { return C.lime_approval_request_set_reason(request, v) })
	set.text("DedupKey", r.DedupKey, func(v *C.char) C.int32_t { return C.lime_approval_request_set_dedup_key(request, v) })
	set.text("CallbackURL", r.CallbackURL, func(v *C.char) C.int32_t { return C.lime_approval_request_set_callback_url(request, v) })
	set.text("Severity", r.Severity, func(v *C.char) C.int32_t { return C.lime_approval_request_set_severity(request, v) })
	if r.Context != nil && set.err == nil {
		set.err = setContext(request, r.Context)
	}
	if set.err != nil {
		C.lime_approval_request_free(request)
		return nil, set.err
	}
	return request, nil
}

func setContext(request *C.lime_approval_request, context any) error {
	document, ok := context.(json.RawMessage)
	if !ok {
		var err error
		if document, err = json.Marshal(context); err != nil {
			return &Error{Kind: KindInvalidArgument, Message: "Context cannot be written as JSON", causes: []error{err}}
		}
	}
	pointer, length := span(document)
	if status := C.lime_approval_request_set_context_json(request, pointer, length); status != C.LIME_OK {
		return invalid("Context is no JSON object")
	}
	return nil
}

// Where an approval stands. The last three are terminal: no further decision changes them. A later broker may know
// more; nothing but [Approval.Approved] is a yes.
const (
	// ApprovalPending: nobody has decided yet.
	ApprovalPending = "pending"
	// ApprovalApproved: a human granted it.
	ApprovalApproved = "approved"
	// ApprovalDenied: a human refused it.
	ApprovalDenied = "denied"
	// ApprovalExpired: nobody decided in time.
	ApprovalExpired = "expired"
)

// An Approval is where an approval stood when the broker answered. (The result of an agent's login is a [LoginResult].)
type Approval struct {
	// ApprovalID is the approval. Another process can wait for it by this, with [Sesame.Wait].
	ApprovalID string
	// Status is [ApprovalPending], [ApprovalApproved], [ApprovalDenied] or [ApprovalExpired]; a later broker may know more.
	Status string
	// ExpiresAt is when it expires undecided; the zero time when the broker does not tell.
	ExpiresAt time.Time
	// DecidedAt is when it was decided; the zero time when the broker does not tell.
	DecidedAt time.Time
	// Note is what the human wrote beside the decision.
	Note string
	// RequesterLabel is the label of whoever asked for it.
	RequesterLabel string

	approved, terminal bool
}

// Approved reports whether a human granted it. Nothing else means "go on".
func (a *Approval) Approved() bool { return a != nil && a.approved }

// Terminal reports whether no further decision can change it.
func (a *Approval) Terminal() bool { return a != nil && a.terminal }

//export limeGoApproval
func limeGoApproval(call C.uintptr_t, status C.int32_t, approval *C.lime_approval, failure *C.lime_error) {
	complete(call, status, failure, func() *Approval {
		defer C.lime_approval_free(approval)
		return &Approval{
			ApprovalID:     C.GoString(C.lime_approval_approval_id(approval)),
			Status:         C.GoString(C.lime_approval_status_text(approval)),
			ExpiresAt:      at(C.lime_approval_expires_at_unix_micros(approval), C.lime_approval_expires_at_offset_seconds(approval)),
			DecidedAt:      at(C.lime_approval_decided_at_unix_micros(approval), C.lime_approval_decided_at_offset_seconds(approval)),
			Note:           C.GoString(C.lime_approval_note(approval)),
			RequesterLabel: C.GoString(C.lime_approval_requester_label(approval)),
			approved:       C.lime_approval_is_approved(approval) == 1,
			terminal:       C.lime_approval_is_terminal(approval) == 1,
		}
	})
}
