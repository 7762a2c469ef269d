/** Work that nobody waits for. */

/**
 * Does `work` at once as far as it goes. What it throws, now or later, is told to `failed` and goes no further: a bug of
 * ours ends the host (H1), not the process of who runs it.
 */
export async function supervise(work: () => void | Promise<void>, failed: (error: unknown) => void): Promise<void> {
  try {
    await work();
  } catch (error) {
    failed(error);
  }
}
