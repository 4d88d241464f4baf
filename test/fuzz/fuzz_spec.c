/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json: it is refused with a sentence, or every text is there; its annotations
 * describe a unikernel with type, monitor and binary, or none. The same bytes as the
 * log of a runtime: what is found in it is trimmed text.
 */
#include "supervisor/bundle/annotations.h"
#include "supervisor/bundle/spec.h"
#include "supervisor/oci/cli.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* @file: as the rootfs's own text, or NULL. */
static void check_unikernel(json_object *annotations, const char *file, size_t len)
{
	json_object *o = NULL;
	struct err err = ERR_INIT;
	int rc = file ? annotations_file(annotations, file, len, &o, &err)
		      : annotations_unikernel(annotations, &o, &err);

	if (rc < 0 ? !err.text[0] : (rc == 1) != (o != NULL))
		abort();
	if (o && (!json_text(o, "type", "")[0] || !json_text(o, "monitor", "")[0] ||
		  !json_text(o, "binary", "")[0]))
		abort();
	json_object_put(o);
}

static void check_log(const char *text, size_t len)
{
	char *said = oci_log_error(text, len);

	if (said && (!said[0] || strchr(" \n\t", said[0])))
		abort();
	free(said);
	if (oci_pid(text, len) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy, so that a read past the end is seen. */
	char *text = malloc(size + 1);
	struct spec spec;
	struct err err = ERR_INIT;

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	if (spec_parse(&spec, text, size, &err) == 0) {
		if (!spec.cgroups_path || !spec.root_path || !spec.netns)
			abort();
		check_unikernel(spec.annotations, NULL, 0);
		check_unikernel(spec.annotations, text, size);
	} else if (!err.text[0] || spec.json) {
		abort();
	}
	spec_clear(&spec);
	check_log(text, size);
	free(text);
	return 0;
}
