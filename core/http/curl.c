#include "http/curl.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#define LIBRARY "libcurl.so.4" /* the name of its ABI since 2006 */

#define FUNCTION(name)                                                                                       \
    {                                                                                                        \
        "curl_" #name, offsetof(struct tide_curl, name)                                                      \
    }

static const struct {
    const char *symbol;
    size_t offset;
} functions[] = {
    FUNCTION(global_init),
    FUNCTION(free),
    FUNCTION(slist_append),
    FUNCTION(slist_free_all),
    FUNCTION(easy_init),
    FUNCTION(easy_cleanup),
    FUNCTION(easy_reset),
    FUNCTION(easy_setopt),
    FUNCTION(easy_getinfo),
    FUNCTION(easy_pause),
    FUNCTION(easy_strerror),
    FUNCTION(multi_init),
    FUNCTION(multi_cleanup),
    FUNCTION(multi_setopt),
    FUNCTION(multi_add_handle),
    FUNCTION(multi_remove_handle),
    FUNCTION(multi_assign),
    FUNCTION(multi_socket_action),
    FUNCTION(multi_info_read),
    FUNCTION(multi_strerror),
    FUNCTION(url),
    FUNCTION(url_cleanup),
    FUNCTION(url_dup),
    FUNCTION(url_get),
    FUNCTION(url_set),
    FUNCTION(url_strerror),
};

static bool fail(struct tide_err *err)
{
    const char *why = dlerror();

    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, false, "HTTP client: %s (Debian's package is libcurl4)",
                        why ? why : LIBRARY " can't be loaded");
}

bool tide_curl_load(struct tide_curl *curl, struct tide_err *err)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (!library)
        return fail(err);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *symbol = dlsym(library, functions[i].symbol);

        if (!symbol)
            return fail(err);
        memcpy((char *)curl + functions[i].offset, &symbol, sizeof symbol);
    }
    /* Since 7.84 this may be called beside other threads, and counts its calls. */
    if (curl->global_init(CURL_GLOBAL_ALL) == CURLE_OK)
        return true;
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "HTTP client: libcurl can't be initialized");
}
