/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_METRICS_BUILD_H
#define URUNC_METRICS_BUILD_H

/*
 * build.h - a message under construction, for the files of this folder.
 */

#include "supervisor/metrics/folders.h"
#include "supervisor/metrics/parse.h"
#include "supervisor/metrics/scratch.h"

#include <protobuf-c/protobuf-c.h>

struct build {
	struct node *node;
	struct scratch mem; /* .failed: the message is not complete */
};

/* The text of a control file, the caller's to free(); NULL: there is none, or (then
 * .failed is set) no memory. @folder may be NULL. */
char *build_read(struct build *b, const char *folder, const char *file);

/* The number in such a file, or 0. "max" is @max. */
uint64_t build_number(struct build *b, const char *folder, const char *file, uint64_t max);

/* Keys of such a file into a struct. False: no such file, or an empty one. */
bool build_keys(struct build *b, const char *folder, const char *file,
		const struct stat_key *keys, size_t n, void *into);

/* The messages that @line makes of the lines of such a file, of the scratch memory; NULL:
 * no such file. @line may return NULL for a line that says nothing. */
typedef void *build_line_fn(struct build *b, struct span line, void *arg);
void **build_lines(struct build *b, const char *folder, const char *file, build_line_fn *line,
		   void *arg, size_t *n);

/* @arg is the message's type: device, hca_handles, hca_objects, in both versions. */
build_line_fn build_rdma_line;

/* A number of hugetlb.<size>.<what>. */
uint64_t build_hugetlb(struct build *b, const char *folder, const char *size, const char *what);

/* A message of a type, initialised; NULL: no memory. */
void *build_message(struct build *b, const ProtobufCMessageDescriptor *type);

/* The names of this machine's huge page sizes ("2MB"), of the scratch memory. */
char **build_hugepages(struct build *b, size_t *n);

/* Metrics of either version; NULL: no memory. Of the scratch memory. */
const ProtobufCMessage *build_v1(struct build *b, const struct cgroup_folders *folders);
const ProtobufCMessage *build_v2(struct build *b, const char *folder);

#endif
