// What the C++ tests share: the framework of the C tests, a place to wait at, and a way to count what lives.
#ifndef CHECK_HPP
#define CHECK_HPP

#include "../c/check.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <iostream>
#include <lime.hpp>
#include <mutex>
#include <string>
#include <thread>

#define CHECK_EQ(got, expected) check_equal(__FILE__, __LINE__, #got, got, expected)

/// That it throws this class, and is the error, for more checks.
#define CHECK_THROWS(kind, ...)                                                                                        \
    check_throws<kind>(__FILE__, __LINE__, #__VA_ARGS__ " throws " #kind, [&] { static_cast<void>(__VA_ARGS__); })

inline std::string shown(const std::string &text) { return text; }
inline std::string shown(const std::optional<std::string> &text) { return text ? *text : "(nothing)"; }
inline std::string shown(const char *text) { return text; }
inline std::string shown(std::nullopt_t) { return "(nothing)"; }
inline std::string shown(bool value) { return value ? "true" : "false"; }
template <class Number, class = std::enable_if_t<std::is_arithmetic_v<Number> || std::is_enum_v<Number>>>
std::string shown(Number number) {
    if constexpr (std::is_enum_v<Number>) return std::to_string(static_cast<std::int64_t>(number));
    else return std::to_string(number);
}

inline void failed(const char *file, int line, const std::string &why) {
    if (check_failures++ == 0) std::cout << "FAIL " << check_id << ": " << file << ":" << line << ": " << why << std::endl;
}

template <class Got, class Expected>
void check_equal(const char *file, int line, const char *what, const Got &got, const Expected &expected) {
    if (!(got == expected)) failed(file, line, std::string(what) + " is " + shown(got) + " instead of " + shown(expected));
}

template <class Kind, class Body> lime::Error check_throws(const char *file, int line, const char *what, const Body &body) {
    try {
        body();
        failed(file, line, std::string(what) + ": nothing was thrown");
    } catch (const Kind &error) {
        return error;
    } catch (const std::exception &error) {
        failed(file, line, std::string(what) + ", but threw: " + error.what());
    }
    return lime::Error(LIME_OK, "none");
}

/// Where one thread leaves something for another.
template <class T> class Mailbox {
  public:
    void put(T value) {
        // Notified under the lock: whoever takes the value may destroy the mailbox at once.
        const std::lock_guard<std::mutex> lock(mutex_);
        values_.push_back(std::move(value));
        changed_.notify_all();
    }
    T take() {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return !values_.empty(); });
        T value = std::move(values_.front());
        values_.pop_front();
        return value;
    }
    std::size_t size() {
        const std::lock_guard<std::mutex> lock(mutex_);
        return values_.size();
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<T> values_;
};

/// Counts how many of its kind live, wherever they were copied and moved to.
class Token {
  public:
    explicit Token(std::atomic<int> &living) : living_(&living) { ++*living_; }
    Token(const Token &other) : living_(other.living_) { ++*living_; }
    Token &operator=(const Token &) = delete;
    ~Token() { --*living_; }

  private:
    std::atomic<int> *living_;
};

/// Has run.py do something, and gives its answer.
inline std::string at(const std::string &what) {
    std::cout << "at " << what << std::endl;
    std::string answer;
    if (!std::getline(std::cin, answer)) std::exit(2);
    return answer;
}

/// Waits for a condition that nothing tells of: what the library drops after a callback has returned.
template <class Condition> void until(const Condition &condition) {
    while (!condition()) std::this_thread::yield();
}

#define RUN_TEST(group, test) (check_begin(group ":" #test), guarded_test(test), check_end())

/// An exception that a test does not expect is its failure, not the end of all of them.
template <class Test> void guarded_test(const Test &test) {
    try {
        test();
    } catch (const std::exception &error) {
        failed(__FILE__, __LINE__, std::string("unexpected exception: ") + error.what());
    }
}

#endif
