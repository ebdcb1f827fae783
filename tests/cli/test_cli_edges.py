"""Arguments that look like references, inputs and outputs, as an operator meets them."""

from __future__ import annotations

from typing import Any

from baton import Baton, Engine, Step, worker
from cli.test_cli_insights import read, shown


@worker(name="cli_edges.echo")
async def echo(step: Step, *, value: Any = None) -> Any:
    return value


async def ended(dsn: str, flow: Baton) -> str:
    async with Engine(dsn, queues={"default": 2}) as engine:
        await flow.insert(engine=engine)
        await flow.handle().completion(timeout=30)
    return str(flow.workflow_id)


async def test_arguments_of_a_retry_are_values(dsn: str) -> None:
    flow = Baton(input=1)
    workflow_id = await ended(dsn, flow.add("a", echo.new(value=flow.input)))
    await shown(dsn, "retry", workflow_id, "--step", "a", "--args", 'a={"value": {"$input": ""}}')
    async with Engine(dsn, queues={"default": 2}) as engine:
        handle = engine.workflow(workflow_id)
        await handle.completion(timeout=30)
        assert await handle.result("a") == {"$input": ""}
    again = await shown(dsn, "fork", workflow_id, "--args", 'a={"value": {"$$b": 1}}')
    fork = again.removesuffix("\n")
    async with Engine(dsn, queues={"default": 2}) as engine:
        await engine.workflow(fork).completion(timeout=30)
        assert await engine.workflow(fork).result("a") == {"$$b": 1}


async def test_a_workflow_shows_its_input_and_its_output(dsn: str) -> None:
    flow = Baton(input={"customer": "ada\n"}, output="a")
    workflow_id = await ended(dsn, flow.add("a", echo.new(value=["x" * 600])))
    text = await shown(dsn, "workflow", workflow_id)
    assert '\ninput: {"customer":"ada\\n"}\n' in text
    (output,) = (line for line in text.splitlines() if line.startswith("output"))
    assert output == f"""output, the result of 'a': ["{"x" * 498}…"""
    whole = await read(dsn, "workflow", workflow_id)
    assert whole["input"] == {"customer": "ada\n"}
    assert (whole["output_step"], whole["completion"]["output"]) == ("a", ["x" * 600])


async def test_an_output_that_is_not_there_yet_is_named(dsn: str) -> None:
    async with Engine(dsn) as engine:
        flow = Baton(output="a").add("a", echo.new())
        await flow.insert(engine=engine)
    text = await shown(dsn, "workflow", str(flow.workflow_id))
    assert "\noutput, the result of 'a'\n" in text
    assert "input" not in text
