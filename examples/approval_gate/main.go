// A refund that a human approves before it runs.
// Reads SESAME_API_KEY and SESAME_BROKER_URL; prints each step and its milliseconds. Arguments: the action
// (default payments.refund), and a URL that the broker reports the decision to. Ends with 0 when the refund
// ran and with 3 when it was denied.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	lime "github.com/lime-sdk/lime-go"
)

var last = time.Now()

func done(step string) {
	fmt.Printf("%s\t%.1f\n", step, float64(time.Since(last).Microseconds())/1000)
	last = time.Now()
}

func issueRefund(amount int, customerID string) {
	_, _ = amount, customerID // Here the money moves.
	done("operation run")
}

func argument(number int, otherwise string) string {
	if len(os.Args) > number {
		return os.Args[number]
	}
	return otherwise
}

func run() error {
	sesame, err := lime.NewSesame(lime.SesameOptions{})
	if err != nil {
		return err
	}
	defer sesame.Close()
	_, err = sesame.RequireApproval(context.Background(), lime.ApprovalRequest{
		Action:      argument(1, "payments.refund"),
		Summary:     "Refund $42.00 to customer",
		Reason:      "The customer was charged twice",
		Severity:    "high",
		CallbackURL: argument(2, ""),
	}, lime.WaitOptions{Timeout: time.Minute})
	if err != nil {
		return err
	}
	done("approval granted")
	issueRefund(4200, "cus_123")
	return nil
}

func main() {
	log.SetFlags(0)
	switch err := run(); {
	case errors.Is(err, lime.ErrApprovalDenied):
		done("approval denied")
		os.Exit(3)
	case err != nil:
		log.Fatal(err)
	}
}
