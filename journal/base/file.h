/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_BASE_FILE_H
#define URUNC_BASE_FILE_H

/*
 * file.h - small files and folders, whole or not at all.
 *
 * Every call is local file I/O and waits for nothing but the disk; only file_sync()
 * and file_sync_dirs() wait for it to be durable. None is safe against a rival who
 * may write in the folder: use them below folders that are ours alone.
 */

#include "journal/base/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Replace or make @path: readers see the old or the new text. Written beside it as its
 * draft, then renamed. One writer at a time. Not durable: see file_sync(). */
int file_replace(const char *path, const void *data, size_t len, mode_t mode, struct err *err);

/* As file_replace(), with the content of @from (any size). -ENOENT: no @from. */
int file_copy(const char *from, const char *path, mode_t mode, struct err *err);

/* What @path is called until it is whole: ".<name>.new", in the same folder. A death in
 * file_replace() or file_copy() leaves it to whoever takes @path back. -ENAMETOOLONG. */
int file_draft(char ret[PATH_MAX], const char *path, struct err *err);

/* Make the folder and what is missing above it, all with @mode. There is fine. */
int file_mkdirs(const char *path, mode_t mode, struct err *err);

/* As file_mkdirs(), for the folder that @path is to be made in. */
int file_mkparents(const char *path, mode_t mode, struct err *err);

/* Is it certain that nothing has this name? access(path, F_OK) < 0 does not say so: after
 * any other failure than two it may well be there. */
bool file_missing(const char *path);

/* 1: it is there; 0: it is missing; < 0: why nobody can say. */
int file_look(const char *path, struct err *err);

/* Remove it; not there is fine. */
int file_unlink(const char *path, struct err *err);

/* Flush the file and its name (its folder) to the disk. Blocks. */
int file_sync(const char *path, struct err *err);

/* Flush the folder of @path, and @levels - 1 folders above that. Blocks. */
int file_sync_dirs(const char *path, int levels, struct err *err);

#endif
