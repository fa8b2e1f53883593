// Receives the broker's webhooks with nothing but sockets; a real service has a web server in front.
// Reads SESAME_WEBHOOK_SECRET. Prints its address (`listening<TAB>URL`), then a line for each delivery:
// `webhook<TAB>approval_id<TAB>status` or `repeated`, answered by 204, or `refused<TAB>why`, answered by 400. Arguments:
// the port (default 0, a free one), and after how many requests it ends (default: never).
#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <lime.hpp>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <system_error>
#include <unistd.h>

using Headers = std::vector<std::pair<std::string, std::string>>;

constexpr std::size_t most_head = 16 << 10, most_body = 1 << 20;

struct Request {
    Headers headers;
    std::string body; // the bytes as they arrived
};

// Another answer than 204.
struct Refused {
    int http_status;
};

class Socket {
  public:
    explicit Socket(int descriptor) : descriptor_(descriptor) {
        if (descriptor < 0) throw std::system_error(errno, std::generic_category(), "no socket");
    }
    Socket(const Socket &) = delete;
    Socket &operator=(const Socket &) = delete;
    ~Socket() { close(descriptor_); }
    int operator*() const { return descriptor_; }

    // Appends what arrives next.
    void read(std::string &bytes) const {
        char piece[8192];
        const ssize_t length = recv(descriptor_, piece, sizeof piece, 0);
        if (length <= 0) throw Refused{408};
        bytes.append(piece, static_cast<std::size_t>(length));
    }

  private:
    int descriptor_;
};

const std::string *find(const Headers &headers, const char *wanted) {
    for (const auto &[name, value] : headers)
        if (strcasecmp(name.c_str(), wanted) == 0) return &value;
    return nullptr;
}

Headers parse_head(std::string_view head) {
    if (head.rfind("POST /sesame/webhook ", 0) != 0) throw Refused{404};
    Headers headers;
    for (std::size_t at = head.find("\r\n"); at != std::string_view::npos;) {
        const std::size_t next = head.find("\r\n", at + 2);
        const std::string_view line = head.substr(at + 2, next == std::string_view::npos ? next : next - at - 2);
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos) throw Refused{400};
        std::string_view value = line.substr(colon + 1);
        while (!value.empty() && std::strchr(" \t", value.front())) value.remove_prefix(1);
        while (!value.empty() && std::strchr(" \t", value.back())) value.remove_suffix(1);
        headers.emplace_back(line.substr(0, colon), value);
        at = next;
    }
    return headers;
}

std::size_t body_length(const Headers &headers) {
    const std::string *length = find(headers, "content-length");
    if (find(headers, "transfer-encoding") || !length || length->empty()) throw Refused{411};
    if (length->find_first_not_of("0123456789") != std::string::npos) throw Refused{400};
    if (length->size() > 8 || std::stoul(*length) > most_body) throw Refused{413};
    return std::stoul(*length);
}

Request receive(const Socket &connection) {
    std::string bytes;
    std::size_t end = std::string::npos;
    while (end == std::string::npos) {
        if (bytes.size() > most_head) throw Refused{431};
        connection.read(bytes);
        end = bytes.find("\r\n\r\n");
    }
    Request request{parse_head(std::string_view(bytes).substr(0, end)), bytes.substr(end + 4)};
    const std::size_t length = body_length(request.headers);
    while (request.body.size() < length) connection.read(request.body);
    if (request.body.size() > length) throw Refused{400};
    return request;
}

int answer_to(const Socket &connection, const lime::WebhookVerifier &verifier) try {
    const Request request = receive(connection);
    const lime::Result<lime::Webhook> webhook = verifier.try_verify(request.headers, request.body);
    if (!webhook && webhook.error().code() == LIME_REFUSAL_REPLAYED) {
        std::cout << "repeated" << std::endl; // the broker repeats what it had no answer to: it has been handled
        return 204;
    }
    if (!webhook) {
        std::cout << "refused\t" << webhook.error().code().value_or("") << std::endl;
        return 400;
    }
    // Here the decision takes effect, once for each approval_id.
    std::cout << "webhook\t" << webhook->approval_id().value_or("") << "\t" << webhook->status().value_or("") << std::endl;
    return 204;
} catch (const Refused &refused) {
    return refused.http_status;
}

int main(int argc, char **argv) try {
    const char *secret = std::getenv("SESAME_WEBHOOK_SECRET");
    if (!secret) throw std::runtime_error("SESAME_WEBHOOK_SECRET is not set");
    lime::WebhookVerifier verifier(secret);
    verifier.set_replay_guard();
    std::signal(SIGPIPE, SIG_IGN); // whoever does not wait for the answer

    sockaddr_in address{};
    socklen_t size = sizeof address;
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(argc > 1 ? std::stoi(argv[1]) : 0));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const Socket listener(socket(AF_INET, SOCK_STREAM, 0));
    const int yes = 1;
    setsockopt(*listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(*listener, reinterpret_cast<sockaddr *>(&address), size) || listen(*listener, 64) ||
        getsockname(*listener, reinterpret_cast<sockaddr *>(&address), &size))
        throw std::system_error(errno, std::generic_category(), "cannot listen");
    std::cout << "listening\thttp://127.0.0.1:" << ntohs(address.sin_port) << "/sesame/webhook" << std::endl;

    for (long left = argc > 2 ? std::stol(argv[2]) : -1; left != 0; left -= left > 0) {
        const int accepted = accept(*listener, nullptr, nullptr);
        if (accepted < 0) continue;
        const Socket connection(accepted);
        timeval patience{};
        patience.tv_sec = 10;
        setsockopt(*connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        const std::string answer =
            "HTTP/1.1 " + std::to_string(answer_to(connection, verifier)) + " \r\nconnection: close\r\n\r\n";
        if (send(*connection, answer.data(), answer.size(), 0) < 0) std::cerr << "cannot answer" << std::endl;
        // What is not read would make the answer get lost: a moment for it.
        shutdown(*connection, SHUT_WR);
        char rest[8192];
        for (int each = 0; each < 256 && recv(*connection, rest, sizeof rest, 0) > 0;) each++;
    }
    return 0;
} catch (const std::exception &error) {
    std::cerr << error.what() << std::endl;
    return 1;
}
