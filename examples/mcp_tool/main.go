// An agent calls a tool of an MCP server, which verifies its token.
// Reads LIME_API_BASE, LIME_AGENT_TOKEN and MCP_SERVER_URL; prints each step and its milliseconds.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"time"

	lime "github.com/lime-sdk/lime-go"
)

var last time.Time

func done(step string) {
	fmt.Printf("%s\t%.1f\n", step, float64(time.Since(last).Microseconds())/1000)
	last = time.Now()
}

func run(server string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	agent, err := lime.NewAgent(lime.AgentOptions{})
	if err != nil {
		return err
	}
	defer agent.Close()
	profile, err := agent.Profile(ctx)
	if err != nil {
		return err
	}
	last = time.Now()

	// Only for programs that do something else with it: the calls below get it by themselves.
	if _, err := agent.MCPAccessToken(ctx, server, lime.MCPTokenOptions{}); err != nil {
		return err
	}
	done("token issued")

	tools, err := agent.ListTools(ctx, server)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(tools, func(tool lime.MCPTool) bool { return tool.Name == "who" }) {
		return errors.New("the server has no tool that is called who")
	}
	done("tools listed")

	result, err := agent.CallTool(ctx, server, "who", map[string]any{"greeting": "hello"})
	if err != nil {
		return err
	}
	// What the server read in the token that it verified.
	if result.IsError || result.Text() != "hello "+profile.AgentID {
		return fmt.Errorf("the tool said %q", result.Text())
	}
	done("tool called")
	return nil
}

func main() {
	log.SetFlags(0)
	if err := run(os.Getenv("MCP_SERVER_URL")); err != nil {
		log.Fatal(err)
	}
}
