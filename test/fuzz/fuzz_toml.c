/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings: whatever is read, every value has a key, a line of the text and the type
 * that it says; and the config that takes them is whole, or refused with a sentence.
 */
#include "supervisor/bundle/config.h"
#include "supervisor/bundle/toml.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int visit(void *arg, const struct toml_value *v, struct err *err)
{
	int *last = arg;

	(void)err;
	if (!v->key[0] || strlen(v->key) >= TOML_KEY_MAX || v->line < *last)
		abort();
	if (v->type == TOML_TEXT && !v->text)
		abort();
	if (v->type == TOML_LIST && !v->list)
		abort();
	if (v->type == TOML_NONE_)
		abort();
	*last = v->line;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config config = { .file = NULL };
	struct err err = ERR_INIT;
	int line = 1;

	if (toml_read((const char *)data, size, visit, &line, &err) < 0 &&
	    (err.code == 0 || strncmp(err.text, "line ", 5) != 0))
		abort();
	err = (struct err)ERR_INIT;
	if (config_parse(&config, (const char *)data, size, &err) < 0 && !err.text[0])
		abort();
	if (config.run && config.run[0] != '/' && !err.code)
		abort();
	config_clear(&config);
	return 0;
}
