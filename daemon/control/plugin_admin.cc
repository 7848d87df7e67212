#include "daemon/control/plugin_admin.h"

#include <utility>

namespace plugind::control {
namespace {

class SupervisorAdmin final : public PluginAdmin {
 public:
  explicit SupervisorAdmin(plugin::Supervisor& supervisor) : supervisor_(supervisor) {}

  std::vector<plugin::PluginStatus> list() const override { return supervisor_.list(); }
  std::expected<plugin::PluginStatus, Error> status(const std::string& name) const override {
    return supervisor_.status(name);
  }
  void start(const std::string& name, StatusCallback done) override {
    supervisor_.start(name, std::move(done));
  }
  void stop(const std::string& name, StatusCallback done) override {
    supervisor_.stop(name, std::move(done));
  }
  void restart(const std::string& name, StatusCallback done) override {
    supervisor_.restart(name, std::move(done));
  }
  std::expected<std::shared_ptr<plugin::OutputLog>, Error> log(
      const std::string& name) const override {
    return supervisor_.log(name);
  }
  std::expected<std::vector<plugin::CrashReport>, Error> crashes(
      const std::string& name) const override {
    return supervisor_.crashes(name);
  }
  plugin::EventBus& events() override { return supervisor_.events(); }

 private:
  plugin::Supervisor& supervisor_;
};

}  // namespace

std::unique_ptr<PluginAdmin> make_plugin_admin(plugin::Supervisor& supervisor) {
  return std::make_unique<SupervisorAdmin>(supervisor);
}

}  // namespace plugind::control
