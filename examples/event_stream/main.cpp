// A site that follows its event stream and verifies who signed in.
// Reads LIME_API_BASE and LIME_SITE_TOKEN. Prints `listening` once the stream is open, creates as many login requests as
// the argument says (default 3), prints each (`request<TAB>ID`) and how each ends (`event<TAB>ID<TAB>signed in|expired|lost`),
// and the stream's states on stderr (`state<TAB>NAME`). Ends with 0 when all its requests have ended.
#include <condition_variable>
#include <iostream>
#include <lime.hpp>
#include <mutex>
#include <queue>
#include <set>

// How a login request has ended; without an event: it is lost.
struct End {
    std::string request_id;
    std::optional<lime::LoginEvent> event;
};

// From the dispatcher thread, which must not block, to main.
class Ends {
  public:
    void put(End end) {
        const std::lock_guard lock(mutex_);
        ends_.push(std::move(end));
        changed_.notify_all();
    }

    void opened() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }

    void wait_until_open() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return open_; });
    }

    End take() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !ends_.empty(); });
        End end = std::move(ends_.front());
        ends_.pop();
        return end;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::queue<End> ends_;
    bool open_ = false;
};

const char *name(lime::StreamState state) {
    switch (state) {
    case lime::StreamState::idle: return "idle";
    case lime::StreamState::connecting: return "connecting";
    case lime::StreamState::open: return "open";
    case lime::StreamState::backing_off: return "backing_off";
    case lime::StreamState::refused: return "refused";
    case lime::StreamState::closed: return "closed";
    }
    return "unknown";
}

int main(int argc, char **argv) try {
    Ends ends; // before the site: its handlers use it until the site is gone
    const lime::Site site;
    site.on_state([&](lime::StreamState state, const std::optional<lime::Error> &) {
        std::cerr << "state\t" << name(state) << std::endl;
        if (state == lime::StreamState::open) ends.opened();
    });
    site.on_login_event([&](lime::LoginEvent event) {
        std::string id(event.request_id());
        ends.put({std::move(id), std::move(event)});
    });
    site.on_gap([&](const std::vector<std::string> &request_ids) {
        for (const std::string &id : request_ids) ends.put({id, std::nullopt});
    });
    ends.wait_until_open();
    std::cout << "listening" << std::endl;

    std::set<std::string> left;
    for (int each = argc > 1 ? std::stoi(argv[1]) : 3; each > 0; each--) {
        const std::string id = site.create_login_request().request_id();
        std::cout << "request\t" << id << std::endl;
        left.insert(id);
    }
    while (!left.empty()) {
        const auto [id, event] = ends.take();
        const char *how = "lost";
        if (event) how = event->passport() ? "signed in" : "expired";
        if (event && event->passport()) site.verify_passport(*event->passport(), id);
        std::cout << "event\t" << id << "\t" << how << std::endl;
        left.erase(id);
    }
    return 0;
} catch (const std::exception &error) {
    std::cerr << error.what() << std::endl;
    return 1;
}
