// A site hears how its login requests end.
// Reads LIME_API_BASE and LIME_SITE_TOKEN; prints "listening" once its event stream is open, then creates as many login
// requests as its argument says (default 3), each "request<TAB>ID", and prints how each ends, "event<TAB>ID<TAB>signed in",
// "expired" or "lost". Changes of the stream's state go to stderr. Ends when all its requests have ended.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"

	lime "github.com/lime-sdk/lime-go"
)

func run(ctx context.Context, count int) error {
	site, err := lime.NewSite(lime.SiteOptions{})
	if err != nil {
		return err
	}
	defer site.Close()

	open := make(chan struct{}, 1)
	err = site.OnState(func(status lime.StreamStatus) {
		fmt.Fprintf(os.Stderr, "state\t%s\n", status.State)
		if status.State == lime.StreamOpen {
			select {
			case open <- struct{}{}:
			default: // it was open before
			}
		}
	})
	if err != nil {
		return err
	}
	type end struct{ requestID, how string }
	ends := make(chan end, count)
	err = site.OnLogin(func(event lime.LoginEvent) {
		how := "expired"
		if !event.Expired() {
			how = "signed in"
			if _, err := site.VerifyPassport(ctx, event.Passport, lime.PassportCheck{RequestID: event.RequestID}); err != nil {
				log.Fatal(err)
			}
		}
		ends <- end{event.RequestID, how}
	})
	if err != nil {
		return err
	}
	err = site.OnGap(func(requestIDs []string) {
		for _, id := range requestIDs {
			ends <- end{id, "lost"}
		}
	})
	if err != nil {
		return err
	}
	select {
	case <-open:
	case <-ctx.Done():
		return ctx.Err()
	}
	fmt.Println("listening")

	pending := map[string]bool{}
	for range count {
		request, err := site.CreateLoginRequest(ctx)
		if err != nil {
			return err
		}
		pending[request.RequestID] = true
		fmt.Printf("request\t%s\n", request.RequestID)
	}
	for len(pending) > 0 {
		select {
		case end := <-ends:
			fmt.Printf("event\t%s\t%s\n", end.requestID, end.how)
			delete(pending, end.requestID)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func main() {
	log.SetFlags(0)
	count := 3
	if len(os.Args) > 1 {
		var err error
		if count, err = strconv.Atoi(os.Args[1]); err != nil {
			log.Fatal(err)
		}
	}
	if err := run(context.Background(), count); err != nil {
		log.Fatal(err)
	}
}
