/* Receives the broker's webhooks with nothing but sockets; a real service has a web server in front.
   Reads SESAME_WEBHOOK_SECRET. Prints its address (`listening<TAB>URL`), then a line for each delivery:
   `webhook<TAB>approval_id<TAB>status` or `repeated`, answered by 204, or `refused<TAB>why`, answered by 400. Arguments:
   the port (default 0, a free one), and after how many requests it ends (default: never). */
#include <arpa/inet.h>
#include <lime.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { MOST_HEAD = 16 << 10, MOST_BODY = 1 << 20, MOST_HEADERS = 100 };

struct request {
    char bytes[MOST_HEAD + MOST_BODY + 1];
    const char *names[MOST_HEADERS], *values[MOST_HEADERS];
    size_t header_count, body_length;
    const char *body;
};

static const char *header(const struct request *request, const char *name) {
    for (size_t each = 0; each < request->header_count; each++)
        if (!strcasecmp(request->names[each], name)) return request->values[each];
    return NULL;
}

/* Cuts the head into texts; the body stays as it is. Gives the HTTP status that says what is wrong, or 0. */
static int parse_head(struct request *request, char *end) {
    char *line = request->bytes, *next = strstr(line, "\r\n");
    *end = *next = 0;
    if (next == end) next = NULL;
    if (strncmp(line, "POST /sesame/webhook ", 21)) return 404;
    request->header_count = 0;
    while (next) {
        line = next + 2;
        if ((next = strstr(line, "\r\n"))) *next = 0;
        char *value = strchr(line, ':');
        if (!value || request->header_count == MOST_HEADERS) return 400;
        *value++ = 0;
        value += strspn(value, " \t");
        for (char *last = value + strlen(value); last > value && strchr(" \t", last[-1]);) *--last = 0;
        request->names[request->header_count] = line;
        request->values[request->header_count++] = value;
    }
    const char *length = header(request, "content-length");
    if (header(request, "transfer-encoding") || !length || !*length) return 411;
    if (strspn(length, "0123456789") != strlen(length)) return 400;
    request->body_length = strlen(length) > 8 ? MOST_BODY + 1 : (size_t)atol(length);
    return request->body_length > MOST_BODY ? 413 : 0;
}

/* Reads a request to its end. Gives the HTTP status that says what is wrong, or 0. */
static int receive(int connection, struct request *request) {
    size_t got = 0, wanted = 0;
    request->body = NULL;
    while (!request->body || got < wanted) {
        size_t room = request->body ? wanted - got : MOST_HEAD - got;
        if (room == 0) return 431;
        ssize_t more = recv(connection, request->bytes + got, room, 0);
        if (more <= 0) return 408;
        got += (size_t)more;
        if (request->body) continue;
        request->bytes[got] = 0;
        char *end = strstr(request->bytes, "\r\n\r\n"); /* a head with a NUL in it has none */
        if (!end) continue;
        int wrong = parse_head(request, end);
        if (wrong) return wrong;
        request->body = end + 4;
        wanted = (size_t)(request->body - request->bytes) + request->body_length;
        if (got > wanted) return 400;
    }
    return 0;
}

static int take(const lime_webhook_verifier *verifier, const struct request *request) {
    lime_webhook *webhook = NULL;
    lime_error *error = NULL;
    int32_t status = lime_webhook_verify(verifier, request->names, request->values, request->header_count, request->body,
                                         request->body_length, &webhook, &error);
    const char *why = lime_error_code(error);
    int answer = 204;
    if (status == LIME_OK) {
        /* Here the decision takes effect, once for each approval_id. */
        const char *id = lime_webhook_approval_id(webhook), *decision = lime_webhook_status_text(webhook);
        printf("webhook\t%s\t%s\n", id ? id : "", decision ? decision : "");
    } else if (why && !strcmp(why, LIME_REFUSAL_REPLAYED)) {
        puts("repeated"); /* the broker repeats what it had no answer to: it has been handled */
    } else {
        printf("refused\t%s\n", why ? why : lime_status_name(status));
        answer = 400;
    }
    lime_webhook_free(webhook);
    lime_error_free(error);
    return answer;
}

int main(int argc, char **argv) {
    static struct request request;
    const char *secret = getenv("SESAME_WEBHOOK_SECRET");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0))};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    if (!secret) return fputs("SESAME_WEBHOOK_SECRET is not set\n", stderr), 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 64) ||
        getsockname(listener, (struct sockaddr *)&address, &size))
        return perror("cannot listen"), 1;
    signal(SIGPIPE, SIG_IGN); /* whoever does not wait for the answer */
    lime_webhook_verifier *verifier = lime_webhook_verifier_new();
    if (lime_webhook_verifier_add_secret(verifier, secret, strlen(secret)) ||
        lime_webhook_verifier_set_replay_guard(verifier, 86400000, 100000))
        return 1;
    printf("listening\thttp://127.0.0.1:%d/sesame/webhook\n", ntohs(address.sin_port)), fflush(stdout);

    for (long left = argc > 2 ? atol(argv[2]) : -1; left; left -= left > 0) {
        int connection = accept(listener, NULL, NULL);
        if (connection < 0) continue;
        struct timeval patience = {.tv_sec = 10};
        setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        int wrong = receive(connection, &request);
        char answer[64];
        int length = snprintf(answer, sizeof answer, "HTTP/1.1 %d \r\nconnection: close\r\n\r\n",
                              wrong ? wrong : take(verifier, &request));
        fflush(stdout);
        if (send(connection, answer, (size_t)length, 0) != length) perror("cannot answer");
        /* What is not read would make the answer get lost: a moment for it. */
        shutdown(connection, SHUT_WR);
        for (int each = 0; each < 64 && recv(connection, request.bytes, sizeof request.bytes, 0) > 0;) each++;
        close(connection);
    }
    lime_webhook_verifier_free(verifier);
    close(listener);
    return 0;
}
