/* plugins/NAME/NAME.c: what init.lua gets as `native`. The header beside tells what a function may do. */
#include "tidemill_plugin.h"

/* words(text): how many there are. It may take long, so it runs on a pool while the script waits. */
static void words(const struct tidemill_host *host, struct tidemill_call *call)
{
    size_t len, count = 0;
    const char *text = host->text(call, 1, &len);

    for (size_t i = 0; i < len; i++)
        count += text[i] != ' ' && (i == 0 || text[i - 1] == ' ');
    host->return_number(call, (double)count);
}

static const struct tidemill_function functions[] = {{"words", words, true}, {0}};

TIDEMILL_PLUGIN = {TIDEMILL_PLUGIN_ABI, "NAME", "0.1.0", functions};
