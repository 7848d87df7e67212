// StreamLogs and WatchEvents through the generated stub.
#include <gtest/gtest.h>

#include <atomic>

#include "daemon/control/log_stream.h"
#include "daemon/control/service.h"
#include "tests/unit/control/fake_daemon.h"

namespace plugind::control {
namespace {

v1::StreamLogsRequest logs_of(const std::string& name, bool follow) {
  v1::StreamLogsRequest request;
  request.set_name(name);
  request.set_follow(follow);
  return request;
}

TEST(StreamLogs, GivesTheTailAndEnds) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    daemon.admin().add("kv");
    daemon.admin().print("kv", "one\ntwo\nthree \xC3\n");
  });
  auto request = logs_of("kv", false);
  request.set_tail(2);
  Context context;
  const auto stub = daemon.stub();
  const auto reader = stub->StreamLogs(&context, request);
  v1::StreamLogsResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.line().text(), "two");
  EXPECT_EQ(response.line().sequence(), 2u);
  EXPECT_EQ(response.line().instance(), "kv#1");
  EXPECT_EQ(response.line().stream(), v1::OUTPUT_STREAM_STDOUT);
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.line().text(), "three \xEF\xBF\xBD");
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST(StreamLogs, TailOfNoneIsNotAllOfIt) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    daemon.admin().add("kv");
    daemon.admin().print("kv", "one\n");
  });
  auto request = logs_of("kv", false);
  request.set_tail(0);
  Context context;
  const auto stub = daemon.stub();
  const auto reader = stub->StreamLogs(&context, request);
  v1::StreamLogsResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST(StreamLogs, FollowsAcrossAReloadAndEndsWhenThePluginIsRemoved) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    daemon.admin().add("kv");
    daemon.admin().print("kv", "old\n");
  });
  Context context;
  const auto stub = daemon.stub();
  const auto reader = stub->StreamLogs(&context, logs_of("kv", true));
  v1::StreamLogsResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.line().text(), "old");
  daemon.on_loop([&] { daemon.admin().print("kv", "new\n"); });
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.line().text(), "new");

  daemon.on_loop([&] {
    daemon.admin().publish(plugin::Event::Kind::kChanged, "kv");
    daemon.admin().add("kv");  // with another log
    daemon.admin().print("kv", "reborn\n");
  });
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.line().text(), "reborn");
  daemon.on_loop([&] { daemon.admin().print("kv", "and on\n"); });
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.line().text(), "and on");

  daemon.on_loop([&] { daemon.admin().remove("kv"); });
  EXPECT_FALSE(reader->Read(&response));
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "the plugin 'kv' has been removed");
}

TEST(StreamLogs, SinceAndMinLevelHoldForOldLinesAndForNewOnes) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    daemon.admin().add("kv");
    daemon.admin().print("kv", "plain\n[ERROR] old\n[DEBUG] x\n");
  });
  auto request = logs_of("kv", true);
  request.set_min_level(v1::LOG_LEVEL_WARN);
  request.mutable_since()->set_seconds(1);
  Context context;
  const auto stub = daemon.stub();
  const auto reader = stub->StreamLogs(&context, request);
  v1::StreamLogsResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.line().text(), "[ERROR] old");
  EXPECT_EQ(response.line().level(), v1::LOG_LEVEL_ERROR);
  daemon.on_loop([&] {
    daemon.admin().print("kv", "plain\n[WARN] new\n");
    daemon.admin().publish(plugin::Event::Kind::kChanged, "kv");
    daemon.admin().add("kv");  // with another log
    daemon.admin().print("kv", "plain\nTypeError: why\n    at main (/a.js:1:2)\n");
  });
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.line().text(), "[WARN] new");
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.line().text(), "TypeError: why");
  EXPECT_FALSE(response.line().continuation());
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.line().text(), "    at main (/a.js:1:2)");
  EXPECT_EQ(response.line().level(), v1::LOG_LEVEL_ERROR);
  EXPECT_TRUE(response.line().continuation());
}

TEST(StreamLogs, TakesTimesAndLevelsOutsideOfWhatThereIs) {
  const auto selection = [](std::int64_t seconds, std::int32_t nanos, int level) {
    v1::StreamLogsRequest request;
    request.mutable_since()->set_seconds(seconds);
    request.mutable_since()->set_nanos(nanos);
    request.set_min_level(static_cast<v1::LogLevel>(level));
    return to_selection(request);
  };
  using Time = std::chrono::system_clock::time_point;
  EXPECT_EQ(selection(INT64_MAX, 0, 0).since, Time::max());
  EXPECT_EQ(selection(INT64_MIN, 0, 0).since, Time::min());
  EXPECT_EQ(selection(1, -5, 0).since, Time(std::chrono::seconds(1)));
  EXPECT_EQ(selection(1, 500'000'000, 0).since, Time(std::chrono::milliseconds(1'500)));
  EXPECT_EQ(selection(0, 0, 99).lowest, plugin::LogLevel::kFatal);
  EXPECT_EQ(selection(0, 0, -1).lowest, plugin::LogLevel::kNone);
  EXPECT_EQ(to_selection({}).since, Time::min());
  EXPECT_EQ(to_selection({}).lines, SIZE_MAX);
}

TEST(StreamLogs, UnknownPluginIsNotFound) {
  FakeDaemon daemon;
  Context context;
  const auto stub = daemon.stub();
  const auto reader = stub->StreamLogs(&context, logs_of("nobody", true));
  v1::StreamLogsResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST(StreamLogs, ASlowReaderIsToldHowManyLinesItMissed) {
  FakeDaemon daemon({.messages = 8, .bytes = 1 << 20});
  daemon.on_loop([&] { daemon.admin().add("kv"); });
  Context context;
  const auto stub = daemon.stub();
  const auto reader = stub->StreamLogs(&context, logs_of("kv", true));
  reader->WaitForInitialMetadata();
  // Much more than fits into the windows of the connection while nobody reads.
  constexpr std::uint64_t kLines = 2'000;
  const std::string line = std::string(8'000, 'x') + "\n";
  daemon.on_loop([&] {
    for (std::uint64_t i = 0; i < kLines; ++i) daemon.admin().print("kv", line);
  });
  std::uint64_t lines = 0;
  std::uint64_t dropped = 0;
  std::uint64_t last = 0;
  v1::StreamLogsResponse response;
  while (lines + dropped < kLines && reader->Read(&response)) {
    if (response.has_line()) {
      ++lines;
      EXPECT_EQ(response.line().sequence(), last + 1);
      last = response.line().sequence();
    } else {
      dropped += response.dropped();
      last += response.dropped();
    }
  }
  EXPECT_EQ(lines + dropped, kLines);
  EXPECT_GT(dropped, 0u);
  EXPECT_GE(lines, 8u);
}

TEST(StreamLogs, StoppingEndsAFollowerThatDoesNotRead) {
  FakeDaemon daemon;
  daemon.on_loop([&] { daemon.admin().add("kv"); });
  Context context;
  const auto stub = daemon.stub();
  const auto reader = stub->StreamLogs(&context, logs_of("kv", true));
  reader->WaitForInitialMetadata();
  const std::string line = std::string(8'000, 'x') + "\n";
  daemon.on_loop([&] {
    for (int i = 0; i < 500; ++i) daemon.admin().print("kv", line);
  });
  daemon.stop();  // hangs if the server waits for the reader
  v1::StreamLogsResponse response;
  while (reader->Read(&response)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(WatchEvents, TellsEveryEventFromInitialMetadataOn) {
  FakeDaemon daemon;
  Context context;
  const auto stub = daemon.stub();
  const auto reader = stub->WatchEvents(&context, v1::WatchEventsRequest());
  reader->WaitForInitialMetadata();
  daemon.on_loop([&] {
    daemon.admin().publish(plugin::Event::Kind::kRegistered, "kv", "read from kv.toml");
    daemon.admin().publish(plugin::Event::Kind::kState, "kv", "greeted");
  });
  v1::WatchEventsResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.event().kind(), v1::EVENT_KIND_REGISTERED);
  EXPECT_EQ(response.event().plugin(), "kv");
  EXPECT_EQ(response.event().cause(), "read from kv.toml");
  EXPECT_EQ(response.event().state(), v1::INSTANCE_STATE_UNSPECIFIED);
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.event().kind(), v1::EVENT_KIND_STATE);
  EXPECT_EQ(response.event().sequence(), 2u);
  EXPECT_EQ(response.event().instance(), "kv#1");
  EXPECT_EQ(response.event().state(), v1::INSTANCE_STATE_READY);

  daemon.stop();
  EXPECT_FALSE(reader->Read(&response));
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "plugind is shutting down");
}

TEST(WatchEvents, OfOnePluginOnly) {
  FakeDaemon daemon;
  Context context;
  v1::WatchEventsRequest request;
  request.set_plugin("kv");
  const auto stub = daemon.stub();
  const auto reader = stub->WatchEvents(&context, request);
  reader->WaitForInitialMetadata();
  daemon.on_loop([&] {
    daemon.admin().publish(plugin::Event::Kind::kState, "other");
    daemon.admin().publish(plugin::Event::Kind::kState, "kv");
  });
  v1::WatchEventsResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.event().plugin(), "kv");
}

TEST(WatchEvents, AreBoundedInNumberAndLeaveRoomForOtherCalls) {
  FakeDaemon daemon;
  const auto stub = daemon.stub();
  std::vector<std::unique_ptr<Context>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::WatchEventsResponse>>> readers;
  const auto watch = [&] {
    contexts.push_back(std::make_unique<Context>());
    readers.push_back(stub->WatchEvents(contexts.back().get(), v1::WatchEventsRequest()));
  };
  for (int i = 0; i < kMaxStreams; ++i) {
    watch();
    readers.back()->WaitForInitialMetadata();
  }
  watch();
  v1::WatchEventsResponse response;
  EXPECT_FALSE(readers.back()->Read(&response));
  EXPECT_EQ(readers.back()->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  Context context;
  v1::ListPluginsResponse list;
  EXPECT_TRUE(stub->ListPlugins(&context, {}, &list).ok());

  // Those that have ended do not count.
  contexts[0]->TryCancel();
  EXPECT_FALSE(readers[0]->Finish().ok());
  for (grpc::Status status(grpc::StatusCode::RESOURCE_EXHAUSTED, "");
       status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED;) {
    watch();
    readers.back()->WaitForInitialMetadata();
    daemon.on_loop([&] { daemon.admin().publish(plugin::Event::Kind::kState, "kv"); });
    if (readers.back()->Read(&response)) break;
    status = readers.back()->Finish();
    ASSERT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
}

TEST(WatchEvents, AWatcherThatHangsUpIsForgotten) {
  FakeDaemon daemon;
  const auto stub = daemon.stub();
  for (int i = 0; i < 20; ++i) {
    Context context;
    const auto reader = stub->WatchEvents(&context, v1::WatchEventsRequest());
    reader->WaitForInitialMetadata();
    context.TryCancel();
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
    daemon.on_loop([&] { daemon.admin().publish(plugin::Event::Kind::kState, "kv"); });
  }
}

}  // namespace
}  // namespace plugind::control
