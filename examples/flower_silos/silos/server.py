"""What runs beside the SuperLink: it sees predictions, and no data."""

from codistill.training.silo import server_app
from silos.settings import RUN

app = server_app(RUN)
