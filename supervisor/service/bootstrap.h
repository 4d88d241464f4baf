/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_SERVICE_BOOTSTRAP_H
#define URUNC_SERVICE_BOOTSTRAP_H

/*
 * bootstrap.h - what `start` is told, and what it answers. Pure: no I/O.
 *
 * containerd 2.3 writes BootstrapParams on our standard input, older ones the
 * runtime's options as an Any, or nothing. The two can look alike, so the first is
 * believed only if it names the id and the namespace of the flags.
 */

#include "journal/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOOTSTRAP_MAX (10u << 20) /* bytes of input */
#define SOCKET_PATH_MAX 107       /* bytes, the kernel's limit */
#define SOCKET_DIR "/run/containerd/s"

struct bootstrap {
	bool params;         /* these are BootstrapParams: the answer may be version 3 */
	bool debug;
	char *ttrpc_address; /* "": not said */
	char *socket_dir;    /* SOCKET_DIR if not said */
	/* The runtime's options as they came, for who decodes them; type "": none. */
	char *options_type;
	uint8_t *options;
	size_t options_len;
};

/* Never fails for what it can't read: that is no options. -ENOMEM; the caller clears. */
int bootstrap_read(struct bootstrap *ret, const uint8_t *data, size_t len, const char *ns,
		   const char *id, struct err *err);
void bootstrap_clear(struct bootstrap *b);

/**
 * bootstrap_group() - whose shim serves this container, by the annotations of its spec
 * @json:	config.json, NUL-terminated
 * @ret:	the caller's to free()
 *
 * The first of io.containerd.runc.v2.group and io.kubernetes.cri.sandbox-id that is
 * there, else @id. Return: 0; -EINVAL no such JSON; -ENOMEM.
 */
int bootstrap_group(char **ret, const char *json, const char *id, struct err *err);

/* The socket's path in @dir: its name is the hash that containerd's own tests
 * compute. -ENAMETOOLONG. */
int bootstrap_socket(char ret[SOCKET_PATH_MAX + 1], const char *dir, const char *address,
		     const char *ns, const char *group, struct err *err);

/* Go's path.Clean of an absolute or relative path, in place. */
void bootstrap_clean(char *path);

/* What to print: the plain address, or BootstrapResult of version 3. *ret is the
 * caller's to free(). -ENOMEM. */
int bootstrap_answer(uint8_t **ret, size_t *len, bool params, const char *address,
		     struct err *err);

#endif
