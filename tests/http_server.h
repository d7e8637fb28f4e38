#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

/// An HTTP server on 127.0.0.1 for one file, at a port that the system chooses. It notes what it is asked
/// for, and can misbehave. Change its settings only while no request is under way.
class HttpServer {
 public:
  explicit HttpServer(std::string file) : file_(std::move(file)) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(bind(listener_, generic, size) == 0);
    REQUIRE(listen(listener_, 8) == 0);
    REQUIRE(getsockname(listener_, generic, &size) == 0);
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/files/";
    thread_ = std::thread([this] { serve(); });
  }
  ~HttpServer() { stop(); }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Where the file's folder is; ends with a slash.
  const std::string& url() const { return url_; }
  /// Closes the port: connections are refused from now on.
  void stop() {
    if (!thread_.joinable()) return;
    is_stopping_ = true;
    thread_.join();
    close(listener_);
  }

  /// For each request so far, the path, a space and the value of its Range header.
  std::vector<std::string> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  /// Bytes of the file sent so far.
  int64_t sent() const { return sent_; }

  std::atomic<bool> knows_ranges = true;
  std::atomic<bool> tells_length = true;
  std::atomic<int> status = 200;           // another one instead of the file
  std::atomic<int64_t> cut_after = -1;     // bytes of an answer after which the connection ends; -1: none
  std::atomic<int64_t> range_error = 0;    // from the byte that was asked for to that from which it sends
  std::atomic<int64_t> stalls_after = -1;  // bytes of the first answer after which no more come; -1: none

 private:
  void serve() {
    while (!is_stopping_) {
      pollfd waiting{listener_, POLLIN, 0};
      if (poll(&waiting, 1, /*milliseconds=*/20) <= 0) continue;
      const int connection = accept(listener_, nullptr, nullptr);
      if (connection < 0) continue;
      answer(connection);
      close(connection);
    }
  }

  void answer(int connection) {
    std::string request;
    char bytes[4096];
    while (request.find("\r\n\r\n") == std::string::npos) {
      const ssize_t count = recv(connection, bytes, sizeof(bytes), 0);
      if (count <= 0) return;
      request.append(bytes, static_cast<size_t>(count));
    }
    const std::string range = between(request, "Range: ", "\r\n");
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(between(request, "GET ", " ") + " " + range);
    }
    if (status != 200)
      return send_all(connection,
                      "HTTP/1.1 " + std::to_string(status) + " No\r\nContent-Length: 4\r\n\r\nnone");

    const bool is_partial = knows_ranges && !range.empty();
    const size_t begin = is_partial ? std::stoul(between(range, "bytes=", "-")) : 0;
    if (is_partial && begin >= file_.size()) {
      return send_all(connection, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n");
    }
    std::string body = file_.substr(begin);
    std::string head = is_partial ? "HTTP/1.1 206 Partial Content\r\n" : "HTTP/1.1 200 OK\r\n";
    if (is_partial) {
      head += "Content-Range: bytes " + std::to_string(static_cast<int64_t>(begin) + range_error) + "-" +
              std::to_string(file_.size() - 1) + "/" + std::to_string(file_.size()) + "\r\n";
    }
    if (tells_length) head += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    if (cut_after >= 0) body.resize(std::min(body.size(), static_cast<size_t>(cut_after)));
    const int64_t stall = stalls_after.exchange(-1);
    if (stall >= 0) body.resize(std::min(body.size(), static_cast<size_t>(stall)));
    sent_ += static_cast<int64_t>(body.size());
    send_all(connection, head + "Connection: close\r\n\r\n" + body);
    if (stall >= 0) [[maybe_unused]]
      const ssize_t at_end = recv(connection, bytes, sizeof(bytes), 0);  // the client gives up
  }

  static std::string between(const std::string& text, const std::string& before, const std::string& after) {
    const size_t found = text.find(before);
    if (found == std::string::npos) return "";
    const size_t begin = found + before.size();
    return text.substr(begin, text.find(after, begin) - begin);
  }

  static void send_all(int connection, const std::string& text) {
    for (size_t done = 0; done < text.size();) {
      const ssize_t count = send(connection, text.data() + done, text.size() - done, MSG_NOSIGNAL);
      if (count <= 0) return;
      done += static_cast<size_t>(count);
    }
  }

  std::string file_, url_;
  int listener_ = -1;
  std::atomic<bool> is_stopping_ = false;
  std::atomic<int64_t> sent_ = 0;
  std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};
