// Package lime is the client side of two platforms: LIME, where a site lets AI agents sign in without a
// browser and an agent signs in to sites; and Sesame, where a human approves a sensitive operation before it
// runs. It stands on liblime, a native library, through cgo.
//
// # A site
//
// A site's backend makes one [Site] at start-up. It creates a login request, hands its id to the agent, and
// hears how it ended:
//
//	site, err := lime.NewSite(lime.SiteOptions{}) // LIME_SITE_TOKEN
//	if err != nil {
//		return err
//	}
//	defer site.Close()
//	request, err := site.CreateLoginRequest(ctx)
//	if err != nil {
//		return err
//	}
//	event, err := site.WaitForLogin(ctx, request.RequestID, lime.WaitOptions{Timeout: 2 * time.Minute})
//	if err != nil || event.Expired() {
//		return err // nobody signed in in time
//	}
//	passport, err := site.VerifyPassport(ctx, event.Passport, lime.PassportCheck{RequestID: request.RequestID})
//
// A server hears of all logins instead: [Site.OnLogin] takes a function, [Site.Events] gives an iterator.
//
// # An agent
//
//	agent, err := lime.NewAgent(lime.AgentOptions{}) // LIME_AGENT_TOKEN
//	...
//	result, err := agent.Login(ctx, requestID) // fetches the challenge, solves it, approves
//
// # A gate before an operation
//
//	sesame, err := lime.NewSesame(lime.SesameOptions{}) // SESAME_API_KEY
//	...
//	_, err = sesame.RequireApproval(ctx, lime.ApprovalRequest{
//		Action:  "payments.refund",
//		Summary: "Refund $42.00 to cus_123",
//	}, lime.WaitOptions{Timeout: 5 * time.Minute})
//	if err != nil {
//		return err // denied, expired, nobody there, broker down: the operation does not run
//	}
//	refund() // here, and nowhere else
//
// Decisions can also arrive as signed webhooks: [WebhookVerifier].
//
// # Contexts
//
// Every call that takes time takes a context first and ends with it. What the call had already sent may still
// take effect: a context that ends takes nothing back. The error then is [ErrCancelled], or [ErrTimeout] when
// the context's deadline passed, and [context.Canceled] or [context.DeadlineExceeded] as well. No goroutine,
// no thread and no connection stays behind.
//
// # Errors
//
// Every error of this package is an [*Error]. There is one sentinel for each kind of failure:
//
//	if errors.Is(err, lime.ErrRateLimit) {
//		var e *lime.Error
//		errors.As(err, &e)
//		retryIn(e.RetryAfter)
//	}
//
// Errors never contain a token, a passport or a key.
//
// # Goroutines and threads
//
// Clients may be used by any number of goroutines at once; so may everything else but an [SSEParser]. A wait is
// a goroutine that is parked, never a thread: ten thousand of them need no more threads than one. The library
// has two threads of its own, one for its work and one for its callbacks. They start with the first call that
// needs them and end with the last client. Neither ever runs code of yours: handlers, log records and HTTP
// requests of a transport of your own run on goroutines.
//
// # Closing
//
// Close a client that you do not need any more. It may be closed while other goroutines use it and inside its own
// handlers; calls that begin after it fail with [ErrClosed]. A client that is forgotten is closed by the garbage
// collector some time later, except a [Site] that has handlers: that one goes on until it is closed.
//
// # Linking
//
// Without a build tag the program is linked against liblime.so, by "pkg-config lime". With the build tag
// lime_static the library becomes part of the program. See the README.
package lime
