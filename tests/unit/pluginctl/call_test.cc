// `pluginctl call` against a server with all kinds of methods, with and without reflection.
#include <grpc/grpc.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/pluginctl/kinds.grpc.pb.h"
#include "tests/unit/pluginctl/program.h"
#include "tests/unit/pluginctl/reflection_v1.grpc.pb.h"

namespace plugind::pluginctl {
namespace {

using ::pluginctl::test::Kinds;
using ::pluginctl::test::Message;
namespace v1 = grpc::reflection::v1;

class KindsService final : public Kinds::Service {
  grpc::Status Unary(grpc::ServerContext* context, const Message* request,
                     Message* response) override {
    *response = *request;
    for (const auto& [name, value] : context->client_metadata()) {
      (*response->mutable_metadata())[{name.data(), name.size()}] = {value.data(), value.size()};
    }
    return grpc::Status::OK;
  }
  grpc::Status ServerStream(grpc::ServerContext*, const Message* request,
                            grpc::ServerWriter<Message>* writer) override {
    Message response = *request;
    for (int i = 1; i <= request->number(); ++i) {
      response.set_number(i);
      writer->Write(response);
    }
    return grpc::Status::OK;
  }
  grpc::Status ClientStream(grpc::ServerContext*, grpc::ServerReader<Message>* reader,
                            Message* response) override {
    Message request;
    while (reader->Read(&request)) {
      response->set_text(response->text() + request.text());
      response->set_number(response->number() + 1);
    }
    return grpc::Status::OK;
  }
  grpc::Status BidiStream(grpc::ServerContext*,
                          grpc::ServerReaderWriter<Message, Message>* stream) override {
    Message message;
    while (stream->Read(&message)) {
      if (message.text() == "end") return {grpc::StatusCode::OUT_OF_RANGE, "enough"};
      stream->Write(message);
    }
    return grpc::Status::OK;
  }
  grpc::Status Fail(grpc::ServerContext*, const Message*, Message*) override {
    return {grpc::StatusCode::INVALID_ARGUMENT, "it is empty of sense"};
  }
};

/// Gives one file for each question and leaves it to the client to ask for what that imports.
class ReflectionService final : public v1::ServerReflection::Service {
  grpc::Status ServerReflectionInfo(
      grpc::ServerContext*, grpc::ServerReaderWriter<v1::Response, v1::Request>* stream) override {
    const auto* pool = google::protobuf::DescriptorPool::generated_pool();
    v1::Request request;
    while (stream->Read(&request)) {
      v1::Response response;
      const google::protobuf::FileDescriptor* file = nullptr;
      if (!request.list_services().empty()) {
        response.mutable_services()->add_services()->set_name(Kinds::service_full_name());
      } else if (!request.file_containing_symbol().empty()) {
        file = pool->FindFileContainingSymbol(request.file_containing_symbol());
      } else if (!request.file_by_filename().starts_with("google/")) {
        file = pool->FindFileByName(request.file_by_filename());
      }
      if (file != nullptr) {
        google::protobuf::FileDescriptorProto proto;
        file->CopyTo(&proto);
        *response.mutable_files()->add_files() = proto.SerializeAsString();
      } else if (!response.has_services()) {
        response.mutable_error()->set_code(5);
      }
      stream->Write(response);
    }
    return grpc::Status::OK;
  }
};

class Call : public ::testing::Test {
 protected:
  Call() {
    // Never undone: taking gRPC down after large messages waits up to ten seconds for its pollers.
    [[maybe_unused]] static const bool initialised = (grpc_init(), true);
    std::string name = (std::filesystem::temp_directory_path() / "pluginctl-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    directory_ = name;
  }
  ~Call() override {
    if (server_) server_->Shutdown(std::chrono::system_clock::now());
    std::filesystem::remove_all(directory_);
  }

  void serve(bool reflection) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address(), grpc::InsecureServerCredentials());
    builder.SetMaxReceiveMessageSize(-1);
    builder.RegisterService(&kinds_);
    if (reflection) builder.RegisterService(&reflection_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }

  std::string address() const { return "unix:" + (directory_ / "front.sock").string(); }
  const std::filesystem::path& directory() const { return directory_; }

  std::vector<std::string> arguments(const std::string& method, std::vector<std::string> more) {
    std::vector<std::string> all{"--socket", address(), "call", "kinds",
                                 "pluginctl.test.Kinds/" + method};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Outcome call(const std::string& method, std::vector<std::string> more = {},
               const std::string& input = "") {
    return run(arguments(method, std::move(more)), {}, input);
  }

 private:
  std::filesystem::path directory_;
  KindsService kinds_;
  ReflectionService reflection_;
  std::unique_ptr<grpc::Server> server_;
};

::testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "\"" << part << "\" is not in:\n" << text;
}

TEST_F(Call, UnaryWithMetadata) {
  serve(true);
  const Outcome outcome =
      call("Unary", {"--json", "-d", R"({"text":"hi","time":"2026-01-02T03:04:05Z"})", "-H",
                     "X-Who: me", "-H", "raw-bin:AAEC"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_TRUE(outcome.out.starts_with(R"({"text":"hi","time":"2026-01-02T03:04:05Z","metadata":)"));
  EXPECT_TRUE(contains(outcome.out, R"("plugind-plugin":"kinds")"));
  EXPECT_TRUE(contains(outcome.out, R"("x-who":"me")"));
  EXPECT_TRUE(contains(outcome.out, R"("raw-bin":"\u0000\u0001\u0002")"));
  EXPECT_TRUE(outcome.out.ends_with("}}\n"));
}

TEST_F(Call, RequestFromAFileOrStandardInputOrNothing) {
  serve(true);
  const auto file = directory() / "request.json";
  std::ofstream(file) << R"({"number": 2})";
  EXPECT_EQ(call("ServerStream", {"--json", "-d", "@" + file.string()}).out,
            "{\"number\":1}\n{\"number\":2}\n");
  EXPECT_EQ(call("ServerStream", {"--json"}, "{\"number\": 1}\n").out, "{\"number\":1}\n");
  EXPECT_EQ(call("ServerStream", {"--json", "-d", "@-"}, "{\"number\": 1}\n").out,
            "{\"number\":1}\n");
  const Outcome nothing = call("ServerStream");
  EXPECT_EQ(nothing.exit_code, 0) << nothing.err;
  EXPECT_EQ(nothing.out, "");
}

TEST_F(Call, RepliesAreIndentedForPeople) {
  serve(true);
  EXPECT_EQ(call("ServerStream", {"-d", R"({"number":1,"text":"x"})"}).out,
            "{\n \"text\": \"x\",\n \"number\": 1\n}\n");
}

TEST_F(Call, ClientStream) {
  serve(true);
  EXPECT_EQ(call("ClientStream", {"--json", "-d", R"({"text":"a"}{"text":"b"} {"text":"c"})"}).out,
            "{\"text\":\"abc\",\"number\":3}\n");
  EXPECT_EQ(call("ClientStream", {"--json"}).out, "{}\n");
}

TEST_F(Call, BidirectionalAnswersWhileItIsAsked) {
  serve(true);
  Program program(arguments("BidiStream", {"--json"}), {});
  program.write("{\"text\":\"one\"}\n");
  EXPECT_EQ(program.read_line(), "{\"text\":\"one\"}");
  program.write("{\"text\":\n\"two\"}\n");
  EXPECT_EQ(program.read_line(), "{\"text\":\"two\"}");
  const Outcome outcome = program.finish();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "");
}

TEST_F(Call, EndsWithTheServerWhileStandardInputIsOpen) {
  serve(true);
  Program program(arguments("BidiStream", {"--json"}), {});
  program.write("{\"text\":\"end\"}\n");
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.err, "{\"error\":{\"message\":\"enough\",\"code\":\"OUT_OF_RANGE\"}}\n");
}

TEST_F(Call, BadInputEndsAStream) {
  serve(true);
  const Outcome outcome = call("BidiStream", {"--json", "-d", R"({"text":"good"} {"nonsense":1})"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(contains(outcome.err, "nonsense"));
  EXPECT_TRUE(contains(outcome.err, "pluginctl.test.Message"));
}

TEST_F(Call, ThePluginsErrorIsExitCode1) {
  serve(true);
  const Outcome outcome = call("Fail");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "pluginctl: INVALID_ARGUMENT: it is empty of sense\n");
}

TEST_F(Call, LargeMessagesPass) {
  serve(true);
#ifdef __SANITIZE_THREAD__
  constexpr std::size_t kSize = 1 << 20;  // Letter by letter, each many times slower.
#else
  constexpr std::size_t kSize = 16 << 20;
#endif
  const std::string text(kSize, 'x');
  const Outcome outcome =
      call("ServerStream", {"--json"}, R"({"number":1,"text":")" + text + "\"}");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err.substr(0, 500);
  EXPECT_EQ(outcome.out.size(), text.size() + std::string_view("{'text':'','number':1}\n").size());
}

TEST_F(Call, NamesWhatThereIsInstead) {
  serve(true);
  const Outcome method = call("Nope");
  EXPECT_EQ(method.exit_code, 2);
  EXPECT_TRUE(contains(method.err, "has no method 'Nope'; it has: Unary, ServerStream"));
  const Outcome service = run({"--socket", address(), "call", "kinds", "other.Service/Do"});
  EXPECT_EQ(service.exit_code, 2);
  EXPECT_TRUE(contains(service.err, "no service 'other.Service'"));
  EXPECT_TRUE(contains(service.err, "it has: pluginctl.test.Kinds"));
}

TEST_F(Call, SeveralRequestsForOneAreAMistake) {
  serve(true);
  const Outcome outcome = call("Unary", {"-d", "{} {}"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(contains(outcome.err, "takes one request"));
}

TEST_F(Call, WithoutReflectionAProtoFileIsAskedForAndTaken) {
  serve(false);
  const Outcome outcome = call("Unary");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(contains(outcome.err, "plugin 'kinds' has no server reflection"));
  EXPECT_TRUE(contains(outcome.err, "--proto FILE"));

  const std::string proto = SOURCE_ROOT "/tests/unit/pluginctl/kinds.proto";
  const Outcome with_file = call(
      "ServerStream", {"--json", "--proto", proto, "-I", SOURCE_ROOT, "-d", R"({"number":1})"});
  EXPECT_EQ(with_file.exit_code, 0) << with_file.err;
  EXPECT_EQ(with_file.out, "{\"number\":1}\n");
  // The same below the directory of imports.
  EXPECT_EQ(call("ServerStream", {"--json", "--proto", "tests/unit/pluginctl/kinds.proto", "-I",
                                  SOURCE_ROOT, "-d", R"({"number":1})"})
                .out,
            "{\"number\":1}\n");
  // Without -I the import is looked for beside the file, where it is not.
  const Outcome lost = call("ServerStream", {"--proto", proto});
  EXPECT_EQ(lost.exit_code, 2);
  EXPECT_TRUE(contains(lost.err, "kinds_message.proto"));
  const Outcome missing = call("ServerStream", {"--proto", "/nowhere/x.proto"});
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_TRUE(contains(missing.err, "cannot read '/nowhere/x.proto'"));
}

TEST_F(Call, MistakesInAProtoFileHaveAPlace) {
  serve(false);
  const auto file = directory() / "broken.proto";
  std::ofstream(file) << "syntax = \"proto3\";\nmessage M {\n  strin text = 1;\n}\n";
  const Outcome outcome = call("Unary", {"--proto", file.string()});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(contains(outcome.err, "broken.proto:3:3:"));
}

}  // namespace
}  // namespace plugind::pluginctl
