/** Several are asked at once, and one answer is enough. */

/** The first answer that is none of `undefined`; undefined where there is none, or all failed. Never rejects. */
export function firstOf<T>(asked: readonly Promise<T | undefined>[]): Promise<T | undefined> {
  const answers = asked.map(async (one) => {
    const answer = await one;
    if (answer === undefined) throw new Error('no answer');
    return answer;
  });
  return Promise.any(answers).catch(() => undefined);
}
