/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_METRICS_PARSE_H
#define URUNC_METRICS_PARSE_H

/*
 * parse.h - the texts that control files of a cgroup hold. Pure; nothing allocates.
 *
 * A text is NUL-terminated. What is not understood counts as 0 or is passed over: a
 * newer kernel's file is no reason to say nothing about a container.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A part of somebody's text: lent, not terminated. */
struct span {
	const char *at;
	size_t len;
};

bool span_is(struct span s, const char *word);

/* Take the next line, or the next word (between bytes of @separators), off @rest.
 * False: there is none. Lines may be empty, words are not. */
bool span_line(const char **rest, struct span *line);
bool span_word(struct span *rest, const char *separators, struct span *word);

/* Digits; @max for the word "max"; UINT64_MAX if it is beyond that; else, so for a
 * negative one, 0. */
uint64_t span_number(struct span s, uint64_t max);
/* The one number of a file, likewise. */
uint64_t stat_number(const char *text, uint64_t max);

/* "7.30": a plain decimal fraction, or 0. */
double span_fraction(struct span s);

/* Where a key's number belongs in a struct: the offset of a uint64_t. */
struct stat_key {
	const char *key;
	size_t at;
};

/* Lines of "key number". Keys that are not there leave their field as it was. */
void stat_keys(const char *text, const struct stat_key *keys, size_t n, void *into);

/* Words of "key=number", with "max" as above. How many words had such a form. */
size_t stat_words(struct span rest, uint64_t max, const struct stat_key *keys, size_t n,
		  void *into);

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" */
struct pressure {
	double avg10, avg60, avg300;
	uint64_t total;
};
/* The line that begins with @which ("some", "full"); false: there is none. */
bool stat_pressure(const char *text, const char *which, struct pressure *ret);

/* "8:0 Read 4096", "8:0 4096"; not the sums: "Total 4096". */
struct blkio_line {
	uint64_t major, minor, value;
	struct span op; /* of length 0: none */
};
bool stat_blkio(struct span line, struct blkio_line *ret);

/* "mlx5_0 hca_handle=2 hca_object=max"; false: not these two numbers. "max" and what
 * is beyond 32 bits is UINT32_MAX. */
struct rdma_line {
	struct span device;
	uint32_t handles, objects;
};
bool stat_rdma(struct span line, struct rdma_line *ret);

/* "254 0 268435456 vda", a line of /proc/partitions. */
struct partition_line {
	uint64_t major, minor;
	struct span name;
};
bool stat_partition(struct span line, struct partition_line *ret);

/* "hugepages-2048kB", a folder of the kernel's, is "2MB" in the names of control
 * files and for those who read the numbers. False: not such a name. */
bool stat_hugepage(const char *folder, char ret[24]);

/* How many lines there can be. */
size_t stat_lines(const char *text);

#endif
