// A site signs an agent in, from both sides; an argument says how often (default once).
// Reads LIME_API_BASE, LIME_SITE_TOKEN and LIME_AGENT_TOKEN; prints each step and its milliseconds.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	lime "github.com/lime-sdk/lime-go"
)

var last = time.Now()

func done(step string) {
	fmt.Printf("%s\t%.1f\n", step, float64(time.Since(last).Microseconds())/1000)
	last = time.Now()
}

func run(rounds int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	site, err := lime.NewSite(lime.SiteOptions{})
	if err != nil {
		return err
	}
	defer site.Close()
	agent, err := lime.NewAgent(lime.AgentOptions{})
	if err != nil {
		return err
	}
	defer agent.Close()

	events := make(chan lime.LoginEvent, rounds)
	if err := site.OnLogin(func(event lime.LoginEvent) { events <- event }); err != nil {
		return err
	}
	for range rounds {
		request, err := site.CreateLoginRequest(ctx)
		if err != nil {
			return err
		}
		done("request created")

		if _, err := agent.Login(ctx, request.RequestID); err != nil {
			return err
		}
		done("challenge solved and approved")

		var event lime.LoginEvent
		select {
		case event = <-events:
		case <-ctx.Done():
			return ctx.Err()
		}
		if event.Expired() {
			return errors.New("the login request expired")
		}
		done("event received")

		passport, err := site.VerifyPassport(ctx, event.Passport, lime.PassportCheck{RequestID: request.RequestID})
		if err != nil {
			return err
		}
		done("passport verified")

		profile, err := agent.Profile(ctx)
		if err != nil {
			return err
		}
		if profile.AgentID != passport.AgentID {
			return errors.New("another agent's passport")
		}
		done("profile read")
	}
	return nil
}

func main() {
	log.SetFlags(0)
	rounds := 1
	if len(os.Args) > 1 {
		var err error
		if rounds, err = strconv.Atoi(os.Args[1]); err != nil {
			log.Fatal(err)
		}
	}
	if err := run(rounds); err != nil {
		log.Fatal(err)
	}
}
