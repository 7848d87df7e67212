#include "daemon/forward/remote_instance.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

namespace plugind::forward {

namespace asio = boost::asio;

namespace {
// The instance has greeted over another connection, so this one takes no time.
constexpr std::chrono::milliseconds kConnectBound{2'000};
}  // namespace

RemoteInstance::RemoteInstance(InstanceFacts facts, std::string plugin, asio::any_io_executor loop,
                               LaneNumber lane, std::shared_ptr<plugin::LoopPort> here,
                               std::shared_ptr<plugin::LoopPort> home, plugin::Connector& connector)
    : facts_(std::move(facts)),
      plugin_(std::move(plugin)),
      loop_(std::move(loop)),
      lane_(lane),
      here_(std::move(here)),
      home_(std::move(home)),
      connector_(connector) {}

RemoteInstance::~RemoteInstance() {
  // Not from inside a callback of the connection: the last call on it may be what kept this object.
  if (connection_) asio::post(loop_, [connection = std::move(connection_)] {});
}

void RemoteInstance::connect(std::function<void(std::expected<void, Error>)> done) {
  waiting_.push_back(std::move(done));
  if (std::exchange(connecting_, true)) return;
  asio::co_spawn(
      loop_,
      [self = std::static_pointer_cast<RemoteInstance>(shared_from_this())] {
        return self->make_connection();
      },
      asio::detached);
}

asio::awaitable<void> RemoteInstance::make_connection() {
  std::expected<void, Error> outcome;
  if (!ready()) {
    auto connection = co_await connector_.connect(facts_.endpoint, kConnectBound);
    if (connection) {
      connection_ = std::move(*connection);
    } else {
      outcome = std::unexpected(Error{
          Reason::kPluginProtocolError,
          "plugin '" + plugin_ + "' takes no further connection: " + connection.error().message,
          {{"plugin", plugin_}}});
    }
  }
  connecting_ = false;
  for (auto& done : std::exchange(waiting_, {})) done(outcome);
}

void RemoteInstance::tell_finished() {
  home_->post([instance = facts_.instance] {
    if (const auto living = instance.lock()) living->look_idle();
  });
}

void RemoteInstance::explain_loss(plugin::LostCall call, std::function<void(const Error&)> tell) {
  home_->post([instance = facts_.instance, end = facts_.end, here = here_, call = std::move(call),
               tell = std::move(tell)]() mutable {
    const auto answer = [here, tell = std::move(tell)](const Error& error) {
      here->post([tell, error] { tell(error); });
    };
    if (const auto living = instance.lock()) {
      return living->explain_other_loss(std::move(call), answer);
    }
    // It says why before it goes.
    end->lose(std::move(call));
    answer(*end->error());
  });
}

}  // namespace plugind::forward
