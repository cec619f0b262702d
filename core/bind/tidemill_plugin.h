/*
 * What a plugin in C is written against: the one public header. A plugin is a shared object that exports
 * `tidemill_plugin`, built for one version of this interface:
 *
 *   static void add(const struct tidemill_host *host, struct tidemill_call *call)
 *   {
 *       host->return_number(call, host->number(call, 1) + host->number(call, 2));
 *   }
 *   static const struct tidemill_function functions[] = {{"add", add, false}, {0}};
 *   TIDEMILL_PLUGIN = {TIDEMILL_PLUGIN_ABI, "sums", "1.0", functions};
 *
 * The plugin's init.lua gets the functions as a table, `local _, native = ...`, and the manifest plugin.lua
 * says `native = true`. Its code runs in the engine's worker processes with all their rights.
 *
 * A function reads its arguments, which are copies, and gives back at most one result: a value, a handle, or
 * a table of named numbers. Without one it gives true. Arguments count from 1; one that is missing is nil.
 *
 * Threads: a function that `blocks` runs on a thread of a pool while the script waits as in any primitive,
 * and may take its time; its result is dropped when the script has gone meanwhile. Another one runs on the
 * loop's thread, and has to be done in microseconds. An object behind a handle is used by one call at a time;
 * it is freed on the loop's thread when the script has let go of it and no call is left.
 */
#ifndef TIDEMILL_PLUGIN_H
#define TIDEMILL_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIDEMILL_PLUGIN_ABI 1 /* another number: structs or their meaning have changed */

struct tidemill_call; /* one call, the engine's */

#define TIDEMILL_PCM_RATE 48000 /* Hz */
#define TIDEMILL_PCM_CHANNELS 2

/* What a handle is of. `name` and the struct are the plugin's, and stay. */
struct tidemill_handle_type {
    const char *name;
    void (*free)(void *object);
    /* Takes sound from tide.media.decode: `frames` times TIDEMILL_PCM_CHANNELS samples, full scale is 1, at
     * TIDEMILL_PCM_RATE. On a pool's thread. They come from a process that may have been taken over: any
     * value, NaN too. False: the decoding fails. NULL: this one takes no sound. */
    bool (*pcm)(void *object, const float *samples, size_t frames);
};

struct tidemill_host {
    bool (*is_nil)(const struct tidemill_call *call, int index);
    bool (*boolean)(const struct tidemill_call *call, int index);  /* false for anything else */
    double (*number)(const struct tidemill_call *call, int index); /* 0 for anything else */
    /* NUL-terminated, of `*len` bytes (len may be NULL), until the function returns; NULL for anything else.
     */
    const char *(*text)(const struct tidemill_call *call, int index, size_t *len);
    /* The object of a handle of this type, NULL for anything else. */
    void *(*object)(const struct tidemill_call *call, int index, const struct tidemill_handle_type *type);

    void (*return_boolean)(struct tidemill_call *call, bool value);
    void (*return_number)(struct tidemill_call *call, double value);
    void (*return_text)(struct tidemill_call *call, const char *text, size_t len); /* copied */
    /* The object is the engine's from now on. */
    void (*return_object)(struct tidemill_call *call, void *object, const struct tidemill_handle_type *type);
    /* Adds to the table that is returned; at most 16, names are the plugin's and stay. */
    void (*return_field)(struct tidemill_call *call, const char *name, double value);
    /* Returns nil and a failure instead. `code` is a word that stays, as "invalid"; `message` is copied. */
    void (*fail)(struct tidemill_call *call, const char *code, const char *message, bool retryable);
};

struct tidemill_function {
    const char *name; /* NULL ends the list */
    void (*run)(const struct tidemill_host *host, struct tidemill_call *call);
    bool blocks;
};

struct tidemill_plugin {
    uint32_t abi;        /* TIDEMILL_PLUGIN_ABI */
    const char *name;    /* that of the plugin's directory */
    const char *version; /* for people */
    const struct tidemill_function *functions;
};

#define TIDEMILL_PLUGIN                                                                                      \
    extern const struct tidemill_plugin tidemill_plugin;                                                     \
    __attribute__((visibility("default"))) const struct tidemill_plugin tidemill_plugin

#endif
