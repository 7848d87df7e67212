// A call whose messages are known at run time only.
#pragma once

#include <google/protobuf/descriptor.h>

#include <functional>
#include <memory>

#include "client-lib/pluginctl/failure.h"
#include "client-lib/pluginctl/json_input.h"
#include "client-lib/pluginctl/raw_call.h"

namespace plugind::pluginctl {

/// How the requests of a call became messages and its replies JSON.
struct DynamicCall {
  const google::protobuf::MethodDescriptor* method = nullptr;
  JsonStyle style = JsonStyle::kPretty;
  std::function<std::unique_ptr<RawCall>()> start;
  /// Gets each reply as it arrives.
  std::function<void(const std::string& json)> on_reply;
};

/// Makes the call.  Of methods that take one request the whole input is read before the call starts
/// and must hold at most one value, none meaning an empty message.  Of others each value is sent as
/// it is read.
Result<> make_call(const DynamicCall& call, std::unique_ptr<JsonInput> input);

}  // namespace plugind::pluginctl
