// A gRPC server in a thread of the test, on proto/wire alone, that also misbehaves on request.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace plugind::test {

/// What the server does with a connection.
enum class Manner {
  kServe,
  kSilent,   ///< Takes it, and neither reads nor writes.
  kGarbage,  ///< Sends bytes that are not HTTP/2.
  kCloseAtOnce,
  kOneStream,  ///< Serves, but one call at a time.
  kDeaf,       ///< Greets, and reads nothing.
};

/// Every service has these methods:
///   Echo          answers with the request
///   Metadata      answers with the request's header block, one "name: value" a line
///   Size          the request is a decimal number; answers with so many bytes
///   Hold          answers as Echo when release() is called
///   Fail          UNAVAILABLE, message "it ended: 100%\n", details with reason PLUGIN_CRASHED
///   FailEarly     INVALID_ARGUMENT when the header block is there, without reading the body
///   Http503 NotGrpc NoStatus NoMessage TwoMessages Compressed OverSize BadFlag CutShort
///   BigTrailers BadDetails Reset            what their names say
///   Die           closes the connection
///   Quit          ends the server as stop() does
class TestServer {
 public:
  /// Listens on a Unix socket in a new directory, or on a loopback port.
  enum class Transport { kUnix, kTcp };
  explicit TestServer(Manner manner = Manner::kServe, Transport transport = Transport::kUnix);
  /// Listens on the Unix socket that another server had.
  TestServer(Manner manner, std::string address);
  ~TestServer();

  const std::string& address() const { return address_; }
  /// Ends the thread and closes every socket, as a daemon's death does.
  void stop();
  /// The directory stays for another server on the same address.
  void keep_directory() { owns_directory_ = false; }

  void release();
  /// Sends GOAWAY on every connection, once: what the client starts afterwards is not processed.
  void go_away();

  int connections() const { return connections_; }
  int calls() const { return calls_; }
  /// Waits for so many calls to be in Hold.
  void wait_for_held(int count);
  /// Waits until so many calls were cancelled by the client.
  void wait_for_cancelled(int count);
  void become(Manner manner);

 private:
  class Peer;
  struct Stream;

  void listen_unix();
  void listen_tcp();
  void run();
  void wake();
  bool reads() const;
  bool writes() const;
  void count(int& counter, int by);

  std::atomic<Manner> manner_;
  std::string directory_;
  std::string address_;
  bool owns_directory_ = false;
  int listener_ = -1;
  int wake_ = -1;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> release_ = false;
  std::atomic<bool> go_away_ = false;
  std::atomic<int> connections_ = 0;
  std::atomic<int> calls_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  int held_ = 0;
  int cancelled_ = 0;
  int gone_away_ = 0;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::thread thread_;
};

}  // namespace plugind::test
