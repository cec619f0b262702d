#include "base/driver.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/url.h"

#define STRING(name) #name
#define NAME_OF(name) STRING(name)

const char *tide_driver_location(const char *url)
{
    const char *location = strchr(url, ':') + 1;

    if (strncmp(location, "//", 2) == 0)
        return location[2] == '/' ? location + 2 : "";
    return location;
}

bool tide_driver_check_location(const char *url, struct tide_err *err)
{
    return *tide_driver_location(url) ||
           tide_err_set(err, TIDE_ERR_INVALID, false, "the URL names nothing after '%.*s:'",
                        (int)strcspn(url, ":"), url);
}

/* The directory of the running executable; "." where the kernel doesn't tell. */
static void find_home(char out[PATH_MAX])
{
    ssize_t len = readlink("/proc/self/exe", out, PATH_MAX - 1);
    char *slash;

    out[len > 0 ? len : 0] = '\0';
    slash = strrchr(out, '/');
    if (slash)
        *slash = '\0';
    else
        snprintf(out, PATH_MAX, ".");
}

void tide_driver_module(const char *module, char *path, size_t size)
{
    const char *directory = getenv("TIDEMILL_MODULES");
    char home[PATH_MAX];

    if (directory) {
        snprintf(path, size, "%s/%s.so", directory, module);
        return;
    }
    find_home(home);
    snprintf(path, size, "%s/modules/%s.so", home, module);
    if (access(path, F_OK) != 0)
        snprintf(path, size, "%s/../lib/tidemill/%s.so", home, module);
}

const void *tide_driver_load(const char *feature, const char *module, struct tide_err *err)
{
    char path[2 * PATH_MAX];
    void *library;
    const void *driver = NULL;

    tide_driver_module(module, path, sizeof path);
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library)
        driver = dlsym(library, NAME_OF(TIDE_MODULE_DRIVER));
    if (!driver)
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, false, "%s: the driver can't be loaded: %s", feature,
                     dlerror());
    return driver;
}

static void refuse(const char *feature, const struct tide_driver_choice *choices, size_t count,
                   const char *url, struct tide_err *err)
{
    char known[512] = "";
    size_t len = 0;

    for (size_t i = 0; i < count && len < sizeof known; i++)
        len += (size_t)snprintf(known + len, sizeof known - len, "%s%s", i ? ", " : "", choices[i].example);
    tide_err_set(err, TIDE_ERR_INVALID, false, "%s: no driver for the URL '%.*s...'; there are %s", feature,
                 (int)strcspn(url, ":/@ "), url, known);
}

const void *tide_driver_find(const char *feature, const struct tide_driver_choice *choices, size_t count,
                             const char *url, struct tide_err *err)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(choices[i].scheme);

        if (strncmp(url, choices[i].scheme, len) != 0 || url[len] != ':')
            continue;
        if (choices[i].module && !tide_url_check_credentials(url, err)) {
            tide_err_prefix(err, "%s", feature);
            return NULL;
        }
        return choices[i].driver ? choices[i].driver : tide_driver_load(feature, choices[i].module, err);
    }
    refuse(feature, choices, count, url, err);
    return NULL;
}
