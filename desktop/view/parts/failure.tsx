// Why the last call failed, read out at once.
import type { VNode } from 'preact';
import type { Desk } from '../desk.ts';
import { Note } from './fields.tsx';

export function Failure({ desk }: { readonly desk: Desk }): VNode | null {
  if (desk.failure === undefined) return null;
  const [text, remedy] = desk.failure;
  return (
    <div role="alert">
      <Note severity="error" text={text} remedy={remedy} />
    </div>
  );
}
