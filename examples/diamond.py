import asyncio
import os

from baton import Baton, Engine, Step, worker
from baton.schema import migrate

DSN = os.environ.get("BATON_DATABASE_URL", "postgresql://localhost/postgres")


@worker
async def fetch_token(step: Step, *, api_key: str) -> str:
    return f"token-for-{api_key}"


@worker(queue="io", max_attempts=5, timeout=30)
async def process(step: Step, *, url: str) -> int:
    token = await step.result("token", str)  # only declared dependencies are readable
    return len(f"{url}?{token}")


@worker
async def total(step: Step) -> int:
    results = await step.results()
    print("total:", sum(results.values()))
    return sum(results.values())


async def main() -> None:
    await migrate(DSN)
    async with Engine(DSN, queues={"default": 20, "io": 50}):
        workflow = (
            Baton(workflow_name="ingest")
            .add("token", fetch_token.new(api_key="xyz"))
            .add("left", process.new(url="a.example"), deps=["token"])
            .add("right", process.new(url="b.example"), deps=["token"])
            .add("total", total.new(), deps=["left", "right"])
        )
        await workflow.insert()  # one transaction: all four steps or none
        completion = await workflow.completion(timeout=60)
        print(completion.outcome, completion.failed_steps)


asyncio.run(main())
