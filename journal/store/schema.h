/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_STORE_SCHEMA_H
#define URUNC_STORE_SCHEMA_H

/*
 * schema.h - the tables, and the prepared image that new files are copied from.
 *
 * journal/tool/mkimage runs the schema once, when the project is built, and writes
 * the resulting database down as journal_image[]. Making a task's file is then one
 * write of some kilobytes; the same mkimage in a later version must still make files
 * that this one refuses by their version (J6: a change of a table is a new version).
 */

#include <stddef.h>

#define JOURNAL_APPLICATION_ID 0x7572756e /* "urun", what file(1) and we know it by */
#define JOURNAL_VERSION        1
#define JOURNAL_PAGE_SIZE      1024 /* a row is small, and a commit writes whole pages */

extern const char journal_schema[];

extern const unsigned char journal_image[];
extern const size_t journal_image_size;

#endif
