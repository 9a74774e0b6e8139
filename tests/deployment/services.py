"""Names of the services that docker-compose would start with these arguments and this environment, without asking an engine.

`docker-compose config --services` of 1.29.2 lists all, whatever their profiles.
"""

import sys
from unittest import mock

from compose.cli import command, docopt_command, main

command.get_client = mock.MagicMock()
dispatcher = docopt_command.DocoptDispatcher(main.TopLevelCommand, {"options_first": True})
options, _, _ = dispatcher.parse([*sys.argv[1:], "up"])
print("\n".join(service.name for service in command.project_from_options(".", options).get_services()))
