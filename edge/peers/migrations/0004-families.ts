/** Schema 4: the filter of names that a device has chosen; null: the edge's own. */

export const families = `
ALTER TABLE device ADD COLUMN families TEXT;
`;
