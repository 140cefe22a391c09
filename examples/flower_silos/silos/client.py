"""What runs in every silo."""

from codistill.training.silo import client_app
from silos.settings import RUN, data_of

app = client_app(RUN, data_of)
