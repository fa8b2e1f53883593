package lime_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	lime "github.com/lime-sdk/lime-go"
)

// A site lets an agent sign in; here both sides are one program.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	site, err := lime.NewSite(lime.SiteOptions{}) // LIME_SITE_TOKEN
	if err != nil {
		log.Fatal(err)
	}
	defer site.Close()
	request, err := site.CreateLoginRequest(ctx)
	if err != nil {
		log.Fatal(err)
	}

	// The agent gets the request's id.
	agent, err := lime.NewAgent(lime.AgentOptions{}) // LIME_AGENT_TOKEN
	if err != nil {
		log.Fatal(err)
	}
	defer agent.Close()
	if _, err := agent.Login(ctx, request.RequestID); err != nil {
		log.Fatal(err)
	}

	// The site hears of it.
	event, err := site.WaitForLogin(ctx, request.RequestID, lime.WaitOptions{})
	if err != nil {
		log.Fatal(err)
	}
	passport, err := site.VerifyPassport(ctx, event.Passport, lime.PassportCheck{RequestID: request.RequestID})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("signed in for this very request:", passport.RequestID == request.RequestID)
	// Output: signed in for this very request: true
}

func ExampleSite_OnLogin() {
	site, err := lime.NewSite(lime.SiteOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer site.Close()
	signedIn := make(chan string, 16)
	err = site.OnLogin(func(event lime.LoginEvent) {
		if event.Expired() {
			return // nobody signed in in time
		}
		passport, err := site.VerifyPassport(context.Background(), event.Passport, lime.PassportCheck{RequestID: event.RequestID})
		if err != nil {
			log.Print(err)
			return
		}
		signedIn <- passport.RequestID
	})
	if err != nil {
		log.Fatal(err)
	}
	requestID := logIn(site)
	for id := range signedIn {
		if id == requestID {
			fmt.Println("signed in")
			break
		}
	}
	// Output: signed in
}

func ExampleSite_Events() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	site, err := lime.NewSite(lime.SiteOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer site.Close()
	events := site.Events(ctx) // hears everything from here on
	requestID := logIn(site)
	for event, err := range events {
		if err != nil {
			log.Fatal(err) // the context has ended, or the site is closed
		}
		if event.RequestID == requestID {
			fmt.Println("signed in:", !event.Expired())
			break
		}
	}
	// Output: signed in: true
}

func ExampleAgent_LoginWithProgress() {
	ctx := context.Background()
	site, err := lime.NewSite(lime.SiteOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer site.Close()
	request, err := site.CreateLoginRequest(ctx)
	if err != nil {
		log.Fatal(err)
	}
	agent, err := lime.NewAgent(lime.AgentOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer agent.Close()
	shown := 0
	result, err := agent.LoginWithProgress(ctx, request.RequestID, func(lime.LoginProgress) { shown++ })
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Status, shown > 0)
	// Output: APPROVED true
}

func ExampleSesame_RequireApproval() {
	sesame, err := lime.NewSesame(lime.SesameOptions{}) // SESAME_API_KEY
	if err != nil {
		log.Fatal(err)
	}
	defer sesame.Close()
	for _, action := range []string{"payments.refund", "db.delete"} {
		_, err := sesame.RequireApproval(context.Background(), lime.ApprovalRequest{
			Action:  action,
			Summary: "Something that a human has to see",
		}, lime.WaitOptions{Timeout: time.Minute})
		var denied *lime.Error
		switch {
		case err == nil:
			fmt.Println(action, "runs") // here, and nowhere else
		case errors.Is(err, lime.ErrApprovalDenied) && errors.As(err, &denied):
			fmt.Println(action, "does not run:", denied.Code)
		default:
			fmt.Println(action, "does not run:", err)
		}
	}
	// Output:
	// payments.refund runs
	// db.delete does not run: denied
}

func ExampleSesame_Wait() {
	ctx := context.Background()
	sesame, err := lime.NewSesame(lime.SesameOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer sesame.Close()
	approval, err := sesame.Trigger(ctx, lime.ApprovalRequest{Action: "db.delete", Summary: "Delete 1,204 rows"})
	if err != nil {
		log.Fatal(err)
	}
	// The id may be written down, and another process may wait.
	approval, err = sesame.Wait(ctx, approval.ApprovalID, lime.WaitOptions{Timeout: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(approval.Approved(), approval.Status, approval.Note)
	// Output: false denied Not today
}

func ExampleWebhookVerifier_VerifyRequest() {
	verifier, err := lime.NewWebhookVerifier(lime.WebhookOptions{
		Secrets:     []string{"whsec_example"}, // of your configuration
		ReplayGuard: &lime.ReplayGuard{},
	})
	if err != nil {
		log.Fatal(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		webhook, err := verifier.VerifyRequest(r)
		if err != nil {
			fmt.Println(err)
			http.Error(w, "bad signature", http.StatusBadRequest)
			return
		}
		fmt.Println(webhook.ApprovalID, webhook.Status)
		w.WriteHeader(http.StatusNoContent)
	})

	// A test of the handler signs as the broker does.
	body := `{"approval_id":"ap_1","action":"payments.refund","status":"approved","decided_at":"` + time.Now().Format(time.RFC3339) + `"}`
	header, err := lime.SignWebhook([]byte(body), "whsec_example", time.Now())
	if err != nil {
		log.Fatal(err)
	}
	for _, sent := range []string{body, body, strings.Replace(body, "ap_1", "ap_2", 1)} {
		request := httptest.NewRequest(http.MethodPost, "/hook", strings.NewReader(sent))
		request.Header = header
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		fmt.Println(answer.Code)
	}
	// Output:
	// ap_1 approved
	// 204
	// lime: webhook: Webhook was delivered before
	// 400
	// lime: webhook: Webhook signature mismatch
	// 400
}

func ExampleError() {
	agent, err := lime.NewAgent(lime.AgentOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer agent.Close()
	_, err = agent.Login(context.Background(), "lr_nobody")
	var e *lime.Error
	if errors.Is(err, lime.ErrAPI) && errors.As(err, &e) {
		fmt.Println(e.Kind, e.HTTPStatus, e.RequestID)
	}
	// Output: api 404 lr_nobody
}

func ExampleSolvePow() {
	nonce, err := lime.SolvePow(context.Background(), "lr_1", 12, lime.PowOptions{Digest: lime.PowDigestSeed})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(nonce)
	// Output: 7096
}

func ExampleParseTimestamp() {
	moment, err := lime.ParseTimestamp("2026-11-23T10:00:00.5+02:00")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(moment.UTC())
	// Output: 2026-11-23 08:00:00.5 +0000 UTC
}

func ExampleSSEParser() {
	parser := lime.NewSSEParser()
	for _, chunk := range []string{"id: 7\nda", "ta: one\n", "\ndata: two\n\n"} {
		events, err := parser.Feed([]byte(chunk))
		if err != nil {
			log.Fatal(err)
		}
		for _, event := range events {
			fmt.Println(event.Event, event.Data, event.ID)
		}
	}
	// Output:
	// message one 7
	// message two 7
}

// logIn lets an agent sign in to the site, and gives the request's id.
func logIn(site *lime.Site) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	agent, err := lime.NewAgent(lime.AgentOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer agent.Close()
	request, err := site.CreateLoginRequest(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := agent.Login(ctx, request.RequestID); err != nil {
		log.Fatal(err)
	}
	return request.RequestID
}
