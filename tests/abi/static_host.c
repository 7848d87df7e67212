/* A host that links libplugind.a and nothing else but libc. */
#include <plugind/plugind.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  pd_error* error = NULL;
  pd_client* client = pd_connect(NULL, 0, &error);
  pd_reply* reply =
      client != NULL ? pd_invoke(client, NULL, "/test.Test/Echo", "hi", 2, NULL, &error) : NULL;
  int good =
      reply != NULL && pd_reply_size(reply) == 2 && memcmp(pd_reply_data(reply), "hi", 2) == 0;
  if (error != NULL) fprintf(stderr, "%s\n", pd_error_message(error));
  pd_reply_free(reply);
  pd_error_free(error);
  pd_close(client);
  return good ? 0 : 1;
}
