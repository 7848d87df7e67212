/* A host in C: calls the plugins kv and text through plugind, with libplugind alone.
 *
 *     cc host.c $(pkg-config --cflags --libs plugind) && ./a.out
 *
 * It prints a line for each call and exits with 0 only if every call went as it should.  A real
 * program lets protobuf-c or C++ write and read the messages.  The ones here are small enough to be
 * done by hand: a field is its number and type in a byte, then for text and bytes the length and
 * the bytes themselves, then the next field. */
#include <plugind/plugind.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { kTextBytes = 16 << 20, kPrefix = 6 };

static int failures = 0;
static struct timespec started;

/* One line: host, route, plugin, call, ok or FAIL, result, milliseconds. */
static void show(const char* plugin, const char* call, int ok, const char* result) {
  struct timespec now;
  timespec_get(&now, TIME_UTC);
  double ms =
      (double)(now.tv_sec - started.tv_sec) * 1e3 + (double)(now.tv_nsec - started.tv_nsec) / 1e6;
  char line[81];
  size_t i = 0;
  for (; i < sizeof line - 1 && result[i] != 0; ++i) {
    line[i] = result[i];
    if (line[i] == '\t' || line[i] == '\n') line[i] = ' ';
  }
  line[i] = 0;
  printf("c\tlibplugind\t%s\t%s\t%s\t%s\t%.1f\n", plugin, call, ok ? "ok" : "FAIL", line, ms);
  fflush(stdout);
  if (!ok) ++failures;
}

/* Writes a field of text or bytes; `to` has room for `size` + kPrefix.  Returns the bytes written.
 */
static size_t put_field(unsigned char* to, int number, const void* bytes, size_t size) {
  size_t used = 0, left = size;
  to[used++] = (unsigned char)(number << 3 | 2);
  for (; left >= 0x80; left >>= 7) to[used++] = (unsigned char)(left | 0x80);
  to[used++] = (unsigned char)left;
  memcpy(to + used, bytes, size);
  return used + size;
}

/* Finds field 1, text or bytes, of a message that begins with it.  Borrowed; NULL if it does not.
 */
static const unsigned char* first_field(const pd_reply* reply, size_t* size) {
  const unsigned char *at = pd_reply_data(reply), *end = at + pd_reply_size(reply);
  *size = 0;
  if (at == end || *at++ != (1 << 3 | 2)) return NULL;
  for (int shift = 0; at < end && shift < 32; shift += 7) {
    *size |= (size_t)(*at & 0x7f) << shift;
    if (*at++ < 0x80) return *size <= (size_t)(end - at) ? at : NULL;
  }
  return NULL;
}

/* Makes a call with at most a minute for it.  The caller frees the reply, or on NULL the error. */
static pd_reply* call(pd_client* client, const char* plugin, const char* method,
                      const void* request, size_t size, pd_error** error) {
  pd_options* options = pd_options_new();
  if (options != NULL) pd_options_set_timeout_ms(options, 60000);
  timespec_get(&started, TIME_UTC);
  pd_reply* reply = pd_invoke(client, plugin, method, request, size, options, error);
  pd_options_free(options);
  return reply;
}

/* A call whose answer begins with `expected` in field 1. */
static void show_text(pd_client* client, const char* plugin, const char* name, const char* method,
                      const unsigned char* request, size_t size, const char* expected) {
  pd_error* error = NULL;
  pd_reply* reply = call(client, plugin, method, request, size, &error);
  if (reply == NULL) {
    show(plugin, name, 0, pd_error_message(error));
    pd_error_free(error);
    return;
  }
  size_t got_size = 0;
  const unsigned char* got = first_field(reply, &got_size);
  int ok = *expected == 0 ? got == NULL
                          : got != NULL && got_size >= strlen(expected) &&
                                memcmp(got, expected, strlen(expected)) == 0;
  if (!ok) expected = "another answer than expected";
  show(plugin, name, ok, *expected == 0 ? "an empty message" : expected);
  pd_reply_free(reply);
}

static void show_echo(pd_client* client, const char* name) {
  const char* text = "hello from C";
  unsigned char request[kPrefix + 64];
  size_t size = put_field(request, 1, text, strlen(text));
  show_text(client, "text", name, "/text.v1.Text/Echo", request, size,
            "beep boop I got your string. here it is: hello from C");
}

static void show_reverse(pd_client* client) {
  unsigned char *text = malloc(kTextBytes), *request = malloc(kTextBytes + kPrefix);
  if (text == NULL || request == NULL) exit(1);
  for (size_t i = 0; i < kTextBytes; ++i) text[i] = (unsigned char)(i ^ i >> 8 ^ i >> 16);
  size_t size = put_field(request, 1, text, kTextBytes);
  pd_error* error = NULL;
  pd_reply* reply = call(client, "text", "/text.v1.Text/Reverse", request, size, &error);
  if (reply == NULL) {
    show("text", "Reverse 16 MiB", 0, pd_error_message(error));
  } else {
    size_t got_size = 0;
    const unsigned char* got = first_field(reply, &got_size);
    int ok = got != NULL && got_size == kTextBytes;
    for (size_t i = 0; ok && i < kTextBytes; ++i) ok = got[i] == text[kTextBytes - 1 - i];
    show("text", "Reverse 16 MiB", ok, ok ? "came back reversed" : "came back otherwise");
  }
  pd_reply_free(reply);
  pd_error_free(error);
  free(request);
  free(text);
}

/* A call that must fail.  `reason` and `message` NULL stand for any. */
static void show_failure(pd_client* client, const char* name, int mode, int code,
                         const char* reason, const char* message) {
  const unsigned char request[] = {1 << 3, (unsigned char)mode}; /* field 1, a small number */
  pd_error* error = NULL;
  pd_reply* reply = call(client, "text", "/text.v1.Text/MayPanic", request, sizeof request, &error);
  if (reply != NULL) {
    show("text", name, 0, "it was answered");
    pd_reply_free(reply);
    return;
  }
  int ok = pd_error_code(error) == code &&
           (reason == NULL || strcmp(pd_error_reason(error), reason) == 0) &&
           (message == NULL || strcmp(pd_error_message(error), message) == 0);
  char result[160];
  snprintf(result, sizeof result, "status %d %s: %s", pd_error_code(error), pd_error_reason(error),
           pd_error_message(error));
  show("text", name, ok, result);
  pd_error_free(error);
}

int main(void) {
  pd_error* error = NULL;
  pd_client* client = pd_connect(NULL, 0, &error); /* $PLUGIND_SOCKET, else the usual place */
  if (client == NULL) {
    fprintf(stderr, "%s\n", pd_error_message(error));
    pd_error_free(error);
    return 1;
  }
  unsigned char request[2 * kPrefix + 64];
  size_t size = put_field(request, 1, "c", 1);
  size += put_field(request + size, 2, "a string from C", 15);
  show_text(client, "kv", "Put", "/proto.KV/Put", request, size, "");
  size = put_field(request, 1, "c", 1);
  show_text(client, "kv", "Get", "/proto.KV/Get", request, size, "a string from C");

  show_echo(client, "Echo");
  show_reverse(client);
  show_failure(client, "MayPanic ERROR", 1, 3, "", "the text is empty of sense");
  /* tonic cancels the call whose handler panicked; the plugin lives. */
  show_failure(client, "MayPanic PANIC", 2, 1, "", NULL);
  show_echo(client, "Echo after PANIC");
  show_failure(client, "MayPanic SEGFAULT", 4, 14, "PLUGIN_CRASHED", NULL);
  show_echo(client, "Echo again");
  pd_close(client);
  return failures == 0 ? 0 : 1;
}
