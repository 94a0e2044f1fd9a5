from optlab.app.main import main

main()
