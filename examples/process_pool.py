"""CPU-bound steps in processes: a plain `def perform` with an executor."""

import asyncio
import os

from baton import Baton, Engine, ProcessExecutor, Step, SyncStep, Worker, worker

DSN = os.environ.get("BATON_DATABASE_URL", "postgresql://localhost/postgres")


POOL = ProcessExecutor(max_workers=2)


class CountPrimes(Worker, queue="cpu", executor=POOL):
    below: int

    def perform(self, step: SyncStep) -> int:
        sieve = bytearray([1]) * self.below
        for n in range(2, int(self.below**0.5) + 1):
            sieve[n * n :: n] = bytes(len(sieve[n * n :: n]))
        return sum(sieve[2:])


@worker
async def show(step: Step) -> None:
    print(await step.results())


async def main() -> None:
    async with Engine(DSN, queues={"default": 5, "cpu": 2}):
        workflow = (
            Baton()
            .add("ten thousand", CountPrimes(below=10_000))
            .add("a million", CountPrimes(below=1_000_000))
            .add("show", show.new(), deps=["ten thousand", "a million"])
        )
        await workflow.insert()
        print((await workflow.completion(timeout=60)).outcome)


if __name__ == "__main__":
    asyncio.run(main())
