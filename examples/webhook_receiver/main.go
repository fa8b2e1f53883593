// Receives the broker's webhooks with net/http.
// Reads SESAME_WEBHOOK_SECRET; prints its address, then a line for each delivery.
package main

import (
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	lime "github.com/lime-sdk/lime-go"
)

func main() {
	log.SetFlags(0)
	verifier, err := lime.NewWebhookVerifier(lime.WebhookOptions{
		Secrets: []string{os.Getenv("SESAME_WEBHOOK_SECRET")},
		// The timestamp of a webhook is not signed: without a guard, whoever has seen one could send it again.
		ReplayGuard: &lime.ReplayGuard{},
	})
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("POST /sesame/webhook", func(w http.ResponseWriter, r *http.Request) {
		webhook, err := verifier.VerifyRequest(r) // reads the exact bytes that the broker signed
		if err != nil {
			reason := "unreadable"
			var refused *lime.Error
			if errors.Is(err, lime.ErrWebhook) && errors.As(err, &refused) {
				reason = refused.Code
			}
			if reason == lime.RefusalReplayed { // the broker's own repetition: our answer to the first one got lost
				fmt.Println("webhook repeated")
				w.WriteHeader(http.StatusNoContent)
				return
			}
			fmt.Printf("webhook refused\t%s\n", reason)
			http.Error(w, "bad signature", http.StatusBadRequest)
			return
		}
		fmt.Printf("webhook verified\t%s %s\n", webhook.ApprovalID, webhook.Status)
		w.WriteHeader(http.StatusNoContent)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening\thttp://%s/sesame/webhook\n", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
