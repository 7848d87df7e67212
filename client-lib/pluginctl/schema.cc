#include "client-lib/pluginctl/schema.h"

#include <filesystem>
#include <utility>

namespace plugind::pluginctl {
namespace {

namespace pb = google::protobuf;

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none" : text;
}

Result<const pb::MethodDescriptor*> method_of(const pb::ServiceDescriptor& service,
                                              const MethodName& name) {
  if (const auto* method = service.FindMethodByName(name.method)) return method;
  std::vector<std::string> names;
  for (int i = 0; i < service.method_count(); ++i) names.push_back(service.method(i)->name());
  return usage("service " + name.service + " has no method '" + name.method +
               "'; it has: " + joined(names));
}

class ReflectionSchema final : public Schema {
 public:
  ReflectionSchema(ReflectionDatabase::Start start, std::string plugin)
      : plugin_(std::move(plugin)),
        server_(std::move(start)),
        built_in_(*pb::DescriptorPool::generated_pool()),
        both_(&server_, &built_in_),
        pool_(&both_) {}

  Result<const pb::MethodDescriptor*> find(const MethodName& name) override {
    const auto* service = pool_.FindServiceByName(name.service);
    if (server_.status().error_code() == grpc::StatusCode::UNIMPLEMENTED) {
      return usage("plugin '" + plugin_ +
                   "' has no server reflection: describe the method with --proto FILE, and with "
                   "-I DIR where its imports are");
    }
    if (!server_.status().ok()) return std::unexpected(failure_of(server_.status()));
    if (service != nullptr) return method_of(*service, name);
    const auto services = server_.services();
    if (!services) return std::unexpected(services.error());
    return usage("plugin '" + plugin_ + "' has no service '" + name.service +
                 "', or does not describe it whole; it has: " + joined(*services));
  }

 private:
  std::string plugin_;
  ReflectionDatabase server_;
  pb::DescriptorPoolDatabase built_in_;  // google/protobuf/*.proto, where a server leaves them out
  pb::MergedDescriptorDatabase both_;
  pb::DescriptorPool pool_;
};

/// Keeps the first mistakes of .proto files, as "FILE:LINE:COLUMN: what".
class Mistakes final : public pb::compiler::MultiFileErrorCollector {
 public:
  void AddError(const std::string& file, int line, int column, const std::string& text) override {
    if (++count_ > 10) return;
    // Lines count from 0 here, and are -1 when the mistake has no place.
    text_ += "\n" + file;
    if (line >= 0) text_ += ":" + std::to_string(line + 1) + ":" + std::to_string(column + 1);
    text_ += ": " + text;
  }
  const std::string& text() const { return text_; }

 private:
  int count_ = 0;
  std::string text_;
};

class FileSchema final : public Schema {
 public:
  FileSchema()
      : built_in_(*pb::DescriptorPool::generated_pool()),
        database_(&tree_, &built_in_),
        pool_(&database_, database_.GetValidationErrorCollector()) {
    database_.RecordErrorsTo(&mistakes_);
    pool_.EnforceWeakDependencies(true);
  }

  Result<> load(const std::string& file, const std::vector<std::string>& directories) {
    const std::filesystem::path path(file);
    std::string name = file;
    if (directories.empty()) {
      tree_.MapPath("", path.has_parent_path() ? path.parent_path().string() : ".");
      name = path.filename().string();
    }
    for (const std::string& directory : directories) tree_.MapPath("", directory);
    std::string shadowing;
    std::string found;
    if (!directories.empty() && tree_.DiskFileToVirtualFile(file, &found, &shadowing) ==
                                    pb::compiler::DiskSourceTree::SUCCESS) {
      name = found;
    }
    file_ = pool_.FindFileByName(name);
    if (file_ == nullptr) {
      return usage("cannot read '" + file +
                   "':" + (mistakes_.text().empty() ? " it is not there" : mistakes_.text()));
    }
    return {};
  }

  Result<const pb::MethodDescriptor*> find(const MethodName& name) override {
    if (const auto* service = pool_.FindServiceByName(name.service)) {
      return method_of(*service, name);
    }
    std::vector<std::string> names;
    for (int i = 0; i < file_->service_count(); ++i) {
      names.push_back(file_->service(i)->full_name());
    }
    return usage("'" + file_->name() + "' has no service '" + name.service +
                 "'; it has: " + joined(names));
  }

 private:
  pb::compiler::DiskSourceTree tree_;
  pb::DescriptorPoolDatabase built_in_;  // google/protobuf/*.proto without -I /usr/include
  Mistakes mistakes_;
  pb::compiler::SourceTreeDescriptorDatabase database_;
  pb::DescriptorPool pool_;
  const pb::FileDescriptor* file_ = nullptr;
};

}  // namespace

Result<MethodName> parse_method(const std::string& text) {
  const std::string name = text.starts_with('/') ? text.substr(1) : text;
  const std::size_t slash = name.find('/');
  const std::size_t cut = slash != std::string::npos ? slash : name.rfind('.');
  if (cut == std::string::npos || cut == 0 || cut + 1 == name.size() ||
      name.find('/', cut + 1) != std::string::npos) {
    return usage("'" + text + "' names no method; write it as package.Service/Method");
  }
  return MethodName{name.substr(0, cut), name.substr(cut + 1)};
}

std::unique_ptr<Schema> reflection_schema(ReflectionDatabase::Start start, std::string plugin) {
  return std::make_unique<ReflectionSchema>(std::move(start), std::move(plugin));
}

Result<std::unique_ptr<Schema>> file_schema(const std::string& file,
                                            const std::vector<std::string>& directories) {
  auto schema = std::make_unique<FileSchema>();
  if (auto loaded = schema->load(file, directories); !loaded) {
    return std::unexpected(loaded.error());
  }
  return schema;
}

}  // namespace plugind::pluginctl
