/** Schema 2: words of the operator about a device, which rules of egress may speak of. A JSON list; null: none. */

export const tags = `
ALTER TABLE device ADD COLUMN tags TEXT;
`;
