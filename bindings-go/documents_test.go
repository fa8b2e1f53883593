package lime

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// goCommand runs the go command and gives what it says.
func goCommand(t testing.TB, arguments ...string) {
	t.Helper()
	command := exec.Command("go", arguments...)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
}

// TestTheREADMEsPrograms compiles every piece of Go in the README: whole programs as they are, pieces as the body of a
// function that has what the README says is there.
func TestTheREADMEsPrograms(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	ok(t, err)
	pieces := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(pieces) < 4 {
		t.Fatalf("only %d pieces", len(pieces))
	}
	folder := t.TempDir()
	for number, piece := range pieces {
		text := piece[1]
		if !strings.HasPrefix(text, "package ") {
			text = fmt.Sprintf(pieceFrame, text)
		}
		path := filepath.Join(folder, fmt.Sprintf("piece_%d.go", number))
		ok(t, os.WriteFile(path, []byte(text), 0o644))
		goCommand(t, "vet", path)
	}
}

// pieceFrame is what pieces of the README stand in.
const pieceFrame = `package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	lime "github.com/lime-sdk/lime-go"
)

var _ = []any{errors.Is, slog.Default, http.DefaultClient, time.Now}

// agent is here, where a piece may have one of its own.
var agent *lime.Agent

func refund() error { return nil }

func piece(ctx context.Context, site *lime.Site, sesame *lime.Sesame, secret string, handler http.Handler) error {
	var err error
	%s
	return err
}

func main() {}
`

// TestEverythingPublicIsDocumented, by a comment that begins with its name, as godoc wants it.
func TestEverythingPublicIsDocumented(t *testing.T) {
	files := token.NewFileSet()
	parsed, err := parser.ParseDir(files, ".", func(file fs.FileInfo) bool { return !strings.HasSuffix(file.Name(), "_test.go") },
		parser.ParseComments)
	ok(t, err)
	count := 0
	check := func(what, comment string) {
		count++
		if strings.TrimSpace(comment) == "" {
			t.Errorf("%s has no comment", what)
		}
	}
	pkg := doc.New(parsed["lime"], "github.com/lime-sdk/lime-go", 0)
	check("the package", pkg.Doc)
	for _, function := range pkg.Funcs {
		check(function.Name, function.Doc)
	}
	for _, kind := range pkg.Types {
		check(kind.Name, kind.Doc)
		for _, function := range append(kind.Funcs, kind.Methods...) {
			check(kind.Name+"."+function.Name, function.Doc)
		}
		for _, spec := range kind.Decl.Specs {
			fields, isStruct := spec.(*ast.TypeSpec).Type.(*ast.StructType)
			if !isStruct {
				continue
			}
			for _, field := range fields.Fields.List {
				for _, name := range field.Names {
					// Those whose names say it all stand in a struct that has a comment.
					if name.IsExported() && kind.Name != "AgentProfile" && kind.Name != "StreamStatus" &&
						!strings.HasPrefix(kind.Name, "MCP") {
						check(kind.Name+"."+name.Name, field.Doc.Text()+field.Comment.Text())
					}
				}
			}
		}
	}
	if count < 150 {
		t.Errorf("only %d were looked at", count)
	}
}

// TestExamples runs the programs that people read, with the arguments and the steps that the demo has.
func TestExamples(t *testing.T) {
	folder := t.TempDir()
	build := func(t *testing.T, name string) string {
		t.Helper()
		program := filepath.Join(folder, name)
		goCommand(t, "build", "-C", filepath.Join(root, "examples"), "-o", program, name+"/main.go")
		return program
	}
	sandbox := startSandbox(t)
	sandbox.post(t, "/rules", []values{
		{"action": "payments.*", "decision": "approved"},
		{"action": "db.*", "decision": "denied"},
	})
	environment := append(os.Environ(),
		"LIME_API_BASE="+sandbox.APIBase, "LIME_SITE_TOKEN="+sandbox.SiteToken, "LIME_AGENT_TOKEN="+sandbox.AgentToken,
		"SESAME_BROKER_URL="+sandbox.SesameURL, "SESAME_API_KEY="+sandbox.APIKey, "SESAME_WEBHOOK_SECRET="+sandbox.WebhookSecret)
	run := func(t *testing.T, code int, program string, arguments ...string) (steps []string, said string) {
		t.Helper()
		var out, failures bytes.Buffer
		command := exec.Command(program, arguments...)
		command.Env, command.Stdout, command.Stderr = environment, &out, &failures
		err := command.Run()
		var exit *exec.ExitError
		if ended := errors.As(err, &exit); ended && exit.ExitCode() != code || !ended && (err != nil || code != 0) {
			t.Errorf("ended with %v: %s%s", err, out.String(), failures.String())
		}
		for _, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
			name, _, _ := strings.Cut(line, "\t")
			steps = append(steps, name)
		}
		return steps, failures.String()
	}
	login := []string{"request created", "challenge solved and approved", "event received", "passport verified", "profile read"}

	t.Run("login", func(t *testing.T) {
		program := build(t, "login")
		steps, _ := run(t, 0, program, "2")
		equal(t, "steps", fmt.Sprint(steps), fmt.Sprint(append(login, login...)))
		_, said := run(t, 1, program, "often")
		equal(t, "whether it says why", said != "", true)
	})
	t.Run("approval_gate", func(t *testing.T) {
		program := build(t, "approval_gate")
		steps, said := run(t, 0, program)
		equal(t, "steps", fmt.Sprint(steps), "[approval granted operation run]")
		equal(t, "what it said", said, "")
		steps, said = run(t, 3, program, "db.delete")
		equal(t, "steps", fmt.Sprint(steps), "[approval denied]")
		equal(t, "what it said", said, "")
		steps, said = run(t, 1, program, "")
		equal(t, "steps", fmt.Sprint(steps), "[]")
		equal(t, "whether it says why", said != "", true)
	})
	t.Run("webhook_receiver", func(t *testing.T) {
		command := exec.Command(build(t, "webhook_receiver"))
		command.Env = environment
		lines := startReading(t, command)
		_, url, _ := strings.Cut(receive(t, lines), "\t")
		run(t, 0, filepath.Join(folder, "approval_gate"), "payments.refund", url)
		sent := list(t, sandbox.get(t, "/webhooks?min=1&wait_ms=30000"), "webhooks")[0]
		equal(t, "what it said", receive(t, lines), fmt.Sprintf("webhook verified\t%s approved", sent["approval_id"]))
		deliver := func(body string) int {
			delivery, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
			ok(t, err)
			delivery.Header.Set(SignatureHeader, sent["signature"].(string))
			timestamp, err := json.Marshal(sent["timestamp"])
			ok(t, err)
			delivery.Header.Set(TimestampHeader, string(timestamp))
			answer, err := plainClient.Do(delivery)
			ok(t, err)
			answer.Body.Close()
			return answer.StatusCode
		}
		body := sent["body"].(string)
		equal(t, "answer", deliver(strings.Replace(body, "approved", "denied", 1)), http.StatusBadRequest)
		equal(t, "what it said", receive(t, lines), "webhook refused\tmismatch")
		equal(t, "answer to a repetition", deliver(body), http.StatusNoContent)
		equal(t, "what it said", receive(t, lines), "webhook repeated")
	})
	t.Run("mcp_tool", func(t *testing.T) {
		program, server := build(t, "mcp_tool"), startMCPServer(t, sandbox)
		environment = append(environment, "MCP_SERVER_URL="+server.url, "LIME_MCP_ADDRESSES="+mcpHost+"=127.0.0.1")
		steps, said := run(t, 0, program)
		equal(t, "steps", fmt.Sprint(steps), "[token issued tools listed tool called]")
		equal(t, "what it said", said, "")
	})
	t.Run("event_stream", func(t *testing.T) {
		command := exec.Command(build(t, "event_stream"), "2")
		command.Env = environment
		lines := startReading(t, command)
		equal(t, "what it said", receive(t, lines), "listening")
		_, first, _ := strings.Cut(receive(t, lines), "\t")
		_, second, _ := strings.Cut(receive(t, lines), "\t")
		sandbox.post(t, "/login-requests/"+first+"/approve", values{})
		equal(t, "what it said", receive(t, lines), "event\t"+first+"\tsigned in")
		sandbox.post(t, "/login-requests/"+second+"/expire", nil)
		equal(t, "what it said", receive(t, lines), "event\t"+second+"\texpired")
		ok(t, command.Wait())
	})
}

// startReading starts a program, which ends with the test, and gives its lines.
func startReading(t *testing.T, command *exec.Cmd) <-chan string {
	t.Helper()
	reader, writer, err := os.Pipe()
	ok(t, err)
	command.Stdout = writer
	ok(t, command.Start())
	writer.Close()
	t.Cleanup(func() {
		_ = command.Process.Kill() // it may have ended
		_ = command.Wait()
		reader.Close()
	})
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(reader); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return lines
}
