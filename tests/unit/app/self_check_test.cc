// What is said of the daemon itself.
#include "daemon/app/self_check.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "daemon/platform/local_socket.h"

namespace plugind::app {
namespace {

using plugin::Finding;
using plugin::Severity;

/// Of a daemon that is well.
SelfFacts healthy() {
  SelfFacts facts;
  facts.uid = 1000;
  facts.runtime_dir = "/run/plugind";
  facts.runtime = {.is_directory = true, .uid = 1000, .mode = 0700};
  facts.descriptors = 40;
  facts.max_descriptors = 1'024;
  facts.connections = facts.wanted_connections = 500;
  return facts;
}

void expect_one(const SelfFacts& facts, Severity severity, const std::string& check,
                const std::string& words, const std::string& remedy) {
  const std::vector<Finding> findings = judge(facts);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].severity, severity);
  EXPECT_EQ(findings[0].check, check);
  EXPECT_EQ(findings[0].plugin, "");
  EXPECT_NE(findings[0].what.find(words), std::string::npos) << findings[0].what;
  EXPECT_NE(findings[0].remedy.find(remedy), std::string::npos) << findings[0].remedy;
}

TEST(SelfCheckTest, NothingIsSaidOfADaemonThatIsWell) { EXPECT_TRUE(judge(healthy()).empty()); }

TEST(SelfCheckTest, TheRuntimeDirectory) {
  SelfFacts facts = healthy();
  facts.runtime.is_directory = false;
  expect_one(facts, Severity::kError, "runtime-dir", "/run/plugind is gone", "restart plugind");
  facts = healthy();
  facts.runtime.uid = 7;
  expect_one(facts, Severity::kError, "runtime-dir", "belongs to uid 7, plugind runs as uid 1000",
             "chown 1000 /run/plugind");
  facts = healthy();
  facts.runtime.mode = 0722;
  expect_one(facts, Severity::kError, "runtime-dir", "by others (mode 0722)",
             "chmod go-w /run/plugind");
  facts = healthy();
  facts.lost_sockets = {"/run/plugind/plugind.sock"};
  expect_one(facts, Severity::kError, "sockets", "/run/plugind/plugind.sock", "restart plugind");
}

TEST(SelfCheckTest, RoomOnTheDisk) {
  SelfFacts facts = healthy();
  facts.runtime.free_bytes = 16 << 20;
  EXPECT_TRUE(judge(facts).empty());
  facts.runtime.free_bytes = 2 << 20;
  expect_one(facts, Severity::kWarning, "disk", "has 2048 KiB left", "make room");
  facts.runtime.free_bytes = 0;
  expect_one(facts, Severity::kError, "disk", "has 0 KiB left", "make room");
  facts = healthy();
  facts.runtime.free_files = 3;
  expect_one(facts, Severity::kError, "disk", "3 more files", "remove files");
}

TEST(SelfCheckTest, Descriptors) {
  SelfFacts facts = healthy();
  facts.descriptors = 930;
  expect_one(facts, Severity::kWarning, "descriptors", "930 open files of 1024", "LimitNOFILE=");
  facts.descriptors = 1'020;
  expect_one(facts, Severity::kError, "descriptors", "1020 open files of 1024", "LimitNOFILE=");
  facts = healthy();
  facts.connections = 100;
  expect_one(facts, Severity::kWarning, "descriptors", "100 connections rather than the 500",
             "raise the limit on open files");
}

TEST(SelfCheckTest, ManifestsMemoryAndControlGroups) {
  SelfFacts facts = healthy();
  facts.manifest_mistakes = "kv.toml:1:1: odd";
  expect_one(facts, Severity::kError, "manifests", "kv.toml:1:1: odd", "pluginctl reload");
  facts = healthy();
  facts.changed = std::vector<std::string>(21, "kv");
  expect_one(facts, Severity::kNote, "manifests", "kv and 1 more", "pluginctl reload");
  facts = healthy();
  facts.memory = 10 << 20;
  expect_one(facts, Severity::kWarning, "memory", "10 MiB", "limits.memory");
  facts = healthy();
  facts.control_groups = false;
  facts.trees = "found by sweeping";
  expect_one(facts, Severity::kNote, "control-groups", "found by sweeping", "Delegate=yes");
}

plugin::Manifest manifest(const std::string& name, const std::string& version = "") {
  plugin::Manifest manifest;
  manifest.name = name;
  manifest.version = version;
  return manifest;
}

TEST(SelfCheckTest, WhatAReloadWouldTouch) {
  std::vector<plugin::PluginStatus> registered(3);
  registered[0].manifest = manifest("same");
  registered[1].manifest = manifest("other", "1");
  registered[2].manifest = manifest("removed");
  EXPECT_EQ(
      changed_manifests({manifest("new"), manifest("same"), manifest("other", "2")}, registered),
      (std::vector<std::string>{"new", "other", "removed"}));
  EXPECT_TRUE(changed_manifests({}, {}).empty());
}

TEST(SelfCheckTest, APluginsOwnSocket) {
  char pattern[] = "/tmp/plugind-self-XXXXXX";
  const std::filesystem::path directory = ::mkdtemp(pattern);
  const std::string path = directory / "kv.sock";
  {
    const auto socket = platform::LocalSocket::listen(path, {.lock = false});
    ASSERT_TRUE(socket);
    EXPECT_FALSE(look_at_socket("kv", "unix:" + path));
  }
  const auto gone = look_at_socket("kv", "unix:" + path);
  std::filesystem::remove_all(directory);
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->severity, Severity::kError);
  EXPECT_EQ(gone->plugin, "kv");
  EXPECT_NE(gone->what.find(path + " is not there"), std::string::npos) << gone->what;
  const auto unnamed = look_at_socket("kv", "unix:/" + std::string(120, 'x'));
  ASSERT_TRUE(unnamed);
  EXPECT_EQ(unnamed->severity, Severity::kWarning);
  EXPECT_EQ(unnamed->check, "socket-path");
  EXPECT_NE(unnamed->remedy.find("shorter"), std::string::npos) << unnamed->remedy;
}

}  // namespace
}  // namespace plugind::app
