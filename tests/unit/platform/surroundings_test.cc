#include "daemon/platform/surroundings.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/platform/local_socket.h"
#include "test_support.h"

namespace plugind::platform {
namespace {

TEST(SurroundingsTest, ADirectoryIsLookedAt) {
  const TemporaryDirectory directory;
  ASSERT_EQ(::chmod(directory.path().c_str(), 0731), 0);
  const DirectoryLook look = look_at_directory(directory.path());
  EXPECT_TRUE(look.is_directory);
  EXPECT_EQ(look.uid, ::geteuid());
  EXPECT_EQ(look.mode, 0731u);
  EXPECT_GT(look.free_bytes, 0u);
  EXPECT_FALSE(look_at_directory(directory.path() / "missing").is_directory);
  EXPECT_FALSE(look_at_directory("/dev/null").is_directory);
}

TEST(SurroundingsTest, SocketsAreToldFromOtherThings) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "test.sock";
  EXPECT_FALSE(is_socket(path));
  const auto socket = LocalSocket::listen(path);
  ASSERT_TRUE(socket);
  EXPECT_TRUE(is_socket(path));
  EXPECT_FALSE(is_socket(directory.path()));
}

TEST(SurroundingsTest, DescriptorsAreCounted) {
  const std::uint64_t before = open_descriptors();
  const UniqueFd one(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const UniqueFd two(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(open_descriptors(), before + 2);
}

TEST(SurroundingsTest, MemoryIsThere) {
  EXPECT_GT(available_memory(), 1u << 20);
  EXPECT_LT(available_memory(), std::uint64_t{1} << 50);
}

TEST(SurroundingsTest, ASocketsPathHasABound) {
  EXPECT_TRUE(check_socket_path("/" + std::string(106, 'x')));
  const auto refused = check_socket_path("/" + std::string(107, 'x'));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, Reason::kSocketPathTooLong);
  EXPECT_NE(refused.error().remedy, "");
}

}  // namespace
}  // namespace plugind::platform
