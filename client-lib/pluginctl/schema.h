// The description of a plugin's methods, without which JSON cannot become a message.
#pragma once

#include <google/protobuf/compiler/importer.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor_database.h>

#include <memory>
#include <string>
#include <vector>

#include "client-lib/pluginctl/failure.h"
#include "client-lib/pluginctl/reflection_database.h"

namespace plugind::pluginctl {

/// "package.Service/Method", also with a leading "/" or with a "." before the method.
struct MethodName {
  std::string service;
  std::string method;
  std::string path() const { return "/" + service + "/" + method; }
};
Result<MethodName> parse_method(const std::string& text);

class Schema {
 public:
  virtual ~Schema() = default;
  /// The method; owned by the schema.  The failure names what there is instead.
  virtual Result<const google::protobuf::MethodDescriptor*> find(const MethodName& name) = 0;
};

/// What the server says about itself.  `plugin` is for messages.
std::unique_ptr<Schema> reflection_schema(ReflectionDatabase::Start start, std::string plugin);

/// What .proto files say.  `file` is a path, or a name below one of `directories`, where its
/// imports are looked for, too.  Without directories that is the file's own.
Result<std::unique_ptr<Schema>> file_schema(const std::string& file,
                                            const std::vector<std::string>& directories);

}  // namespace plugind::pluginctl
