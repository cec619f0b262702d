/*
 * libcurl, loaded into the process when the first request asks for it: with the libraries that it brings
 * (Kerberos, LDAP, SSH, ...) it takes 2 MiB of a process and a third of the time in which one starts, and
 * many processes never ask anybody. The functions are those of <curl/curl.h> without their prefix. Any
 * thread; the table is its owner's.
 */
#ifndef TIDE_HTTP_CURL_H
#define TIDE_HTTP_CURL_H

#include <curl/curl.h>

#include "base/err.h"

struct tide_curl {
    __typeof__(curl_global_init) *global_init;
    __typeof__(curl_free) *free;
    __typeof__(curl_slist_append) *slist_append;
    __typeof__(curl_slist_free_all) *slist_free_all;
    __typeof__(curl_easy_init) *easy_init;
    __typeof__(curl_easy_cleanup) *easy_cleanup;
    __typeof__(curl_easy_reset) *easy_reset;
    __typeof__(curl_easy_setopt) *easy_setopt;
    __typeof__(curl_easy_getinfo) *easy_getinfo;
    __typeof__(curl_easy_pause) *easy_pause;
    __typeof__(curl_easy_strerror) *easy_strerror;
    __typeof__(curl_multi_init) *multi_init;
    __typeof__(curl_multi_cleanup) *multi_cleanup;
    __typeof__(curl_multi_setopt) *multi_setopt;
    __typeof__(curl_multi_add_handle) *multi_add_handle;
    __typeof__(curl_multi_remove_handle) *multi_remove_handle;
    __typeof__(curl_multi_assign) *multi_assign;
    __typeof__(curl_multi_socket_action) *multi_socket_action;
    __typeof__(curl_multi_info_read) *multi_info_read;
    __typeof__(curl_multi_strerror) *multi_strerror;
    __typeof__(curl_url) *url;
    __typeof__(curl_url_cleanup) *url_cleanup;
    __typeof__(curl_url_dup) *url_dup;
    __typeof__(curl_url_get) *url_get;
    __typeof__(curl_url_set) *url_set;
    __typeof__(curl_url_strerror) *url_strerror;
};

/* Fills the table and initializes libcurl, which stays in the process. False: the library or one of these is
 * missing. */
TIDE_WARN_UNUSED bool tide_curl_load(struct tide_curl *curl, struct tide_err *err);

#endif
