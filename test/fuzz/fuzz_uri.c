/* SPDX-License-Identifier: Apache-2.0 */
/* A log's URI becomes a command line whose first word is the path, and whose other
 * words are pairs with keys that differ; or a sentence. */
#include "supervisor/io/uri.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(char **argv, const char *path)
{
	size_t n = 1;

	if (argv[0][0] != '/' || strcmp(argv[0], path) != 0)
		abort();
	for (; argv[n]; n += 2) {
		if (!argv[n + 1])
			abort();
		for (size_t i = 1; i < n; i += 2)
			if (strcmp(argv[i], argv[n]) == 0)
				abort();
	}
	if (n > 1 + 2 * URI_PAIRS_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = ERR_INIT;
	char *uri = malloc(size + 1), *path = malloc(size + 1), **argv = NULL;
	int rc;

	if (!uri || !path)
		abort();
	memcpy(uri, data, size);
	uri[size] = '\0';
	rc = uri_path(path, size + 1, uri, &err);
	if (uri_argv(&argv, uri, &err) == 0) {
		if (rc < 0)
			abort();
		check(argv, path);
	} else if (err.code == 0 || err.text[0] == '\0') {
		abort();
	}
	free(argv);
	free(uri);
	free(path);
	return 0;
}
