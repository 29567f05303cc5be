"""Which servers a process may ask: what the settings say, as a batch carries it to its jobs."""

from pydantic import BaseModel, ConfigDict, IPvAnyNetwork


class Reach(BaseModel):
    """Public addresses of any host, unless this says otherwise.

    Attributes:
        hosts: only these names may be asked, `*.name` stands for all below it; empty = any name.
        networks: addresses that may be asked though they are not public.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hosts: tuple[str, ...] = ()
    networks: tuple[IPvAnyNetwork, ...] = ()
